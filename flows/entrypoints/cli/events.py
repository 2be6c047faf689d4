"""Events out: who is told of them, what could not be told, and telling it again."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.entrypoints import console
from flows.entrypoints.cli.options import Json

if TYPE_CHECKING:
    from deployments.event_delivery.outbox import Delivery, Outbox
    from deployments.event_delivery.subscriptions import Subscription, Subscriptions
    from deployments.settings import Settings

app = typer.Typer()
commands = typer.Typer(
    no_args_is_help=True, help="Tell others of phase changes, verdicts, refusals and orders, by signed CloudEvents."
)
subscriptions = typer.Typer(no_args_is_help=True, help="Who is told of events.")
commands.add_typer(subscriptions, name="subscriptions")
app.add_typer(commands, name="events", rich_help_panel="The platform")

One = Annotated[
    str | None, typer.Option("--subscription", metavar="ID", help="of this subscription only, or `prefect`")
]


@subscriptions.command()
def add(
    url: Annotated[str, typer.Argument(help="where the events go, by POST", metavar="URL")],
    product: Annotated[
        list[str] | None, typer.Option("--product", metavar="PRODUCT", help="of this product only; may be repeated")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="of this type only, which may hold *; may be repeated"),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="the host may be one of a private network, or speak plain http")
    ] = False,
    json: Json = False,
) -> None:
    """Tell a receiver of what happens from now on. The key is shown once: the receiver checks signatures with it.

    Example: seatrial events subscriptions add https://chat.example/hook --type 'io.seatrial.*.refused'
    """
    from deployments.event_delivery.subscriptions import new_subscription

    settings, made = _here()
    names = tuple(map(_known_product, product or ()))
    new = new_subscription(url, names, tuple(kind or ()), private=private)
    _read_on(settings, made)
    made.keep(new)
    if json:
        console.print_json(_facts(new) | {"key": new.secret})
        return
    console.say(f"subscription {new.id}")
    console.say(f"receiver     {new.host}")
    console.say(f"key          {new.secret}  (shown this once)")


@subscriptions.command("list")
def list_subscriptions(json: Json = False) -> None:
    """All subscriptions, and how many events wait for each or could not be told. Nothing is changed.

    Example: seatrial events subscriptions list --json
    """
    from deployments.event_delivery.outbox import State

    settings, made = _here()
    found = list(made.all())
    with _outbox(settings) as outbox:
        counts, disabled = outbox.counts(), outbox.disabled()
    report = [
        _facts(each)
        | {
            "waiting": counts.get(each.id, {}).get(State.WAITING, 0),
            "dead": counts.get(each.id, {}).get(State.DEAD, 0),
            "disabled": disabled.get(each.id),
        }
        for each in found
    ]
    if json:
        console.print_json({"subscriptions": report})
    elif report:
        columns = ("id", "receiver", "products", "types", "waiting", "dead", "disabled")
        console.print_table("Subscriptions", columns, [_row(each) for each in report])
    else:
        console.say("Nobody is told of events yet: `seatrial events subscriptions add URL` adds a receiver")


@subscriptions.command()
def remove(subscription: Annotated[str, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Tell a receiver of nothing any more; what waits for it is dropped.

    Example: seatrial events subscriptions remove 3f9c01ab
    """
    settings, made = _here()
    if subscription not in made.ids():
        made.find(subscription)  # says how to find its id
    made.remove(subscription)
    with _outbox(settings) as outbox:
        outbox.forget(subscription)
    if json:
        console.print_json({"id": subscription})
    else:
        console.say(f"The subscription {subscription} is gone")


@commands.command("dead-letters")
def dead_letters(
    subscription: One = None,
    limit: Annotated[int, typer.Option(help="how many of the newest", min=1, max=1000)] = 40,
    json: Json = False,
) -> None:
    """The events that were given up, since their receiver did not take them for a day. Nothing is changed.

    Example: seatrial events dead-letters --limit 5
    """
    settings, _ = _here()
    with _outbox(settings) as outbox:
        found = outbox.dead(limit, subscription)
    if json:
        console.print_json({"dead_letters": list(map(_letter, found))})
    elif found:
        rows = [
            (f"{of.at:%Y-%m-%d %H:%M:%S} UTC", each.subscription, of.product, of.type, each.tries, each.why)
            for each in found
            for of in (each.occurrence,)
        ]
        columns = ("happened", "subscription", "product", "type", "tries", "why")
        console.print_table("Dead letters", columns, rows)
        console.say("`seatrial events resend` sends them again")
    else:
        console.say("No event was given up")


@commands.command()
def resend(subscription: One = None, json: Json = False) -> None:
    """Send again what was given up, and begin again to send to a receiver that was disabled. The ids stay the same.

    Example: seatrial events resend --subscription 3f9c01ab
    """
    from deployments.clock import SystemClock
    from deployments.plurals import counted

    settings, _ = _here()
    with _outbox(settings) as outbox:
        number = outbox.resend(SystemClock().now(), subscription)
    if json:
        console.print_json({"waiting": number})
    else:
        console.say(f"{counted(number, 'event waits', 'events wait')} to be sent once more")


def _here() -> "tuple[Settings, Subscriptions]":
    from deployments.event_delivery.subscriptions import Subscriptions
    from deployments.settings import current

    settings = current()
    settings.private_home()
    return settings, Subscriptions(settings.keys_folder)


def _known_product(name: str) -> str:
    from deployments.settings import current
    from tasks.spec_file import find_spec, load_product

    return load_product(find_spec(name, current().specs_folder)).product


@contextmanager
def _outbox(settings: "Settings") -> "Iterator[Outbox]":
    from deployments.event_delivery.outbox import Outbox

    with closing(Outbox(settings.feedback_database)) as outbox:
        yield outbox


def _read_on(settings: "Settings", made: "Subscriptions") -> None:
    """What happened before is for those who are there already: the new receiver is told from here on."""
    from deployments import wiring
    from deployments.clock import SystemClock
    from deployments.event_delivery.collector import collect
    from deployments.event_delivery.prefect_events import PrefectReceiver
    from deployments.local_platform.prefect_address import prefect_rest

    prefect = PrefectReceiver(lambda: prefect_rest(settings))
    with _outbox(settings) as outbox:
        collect(wiring.journal(), outbox, [*made.all(), prefect], SystemClock())


def _facts(each: "Subscription") -> dict[str, Any]:
    """Nothing secret: of the address its host alone."""
    return {"id": each.id, "receiver": each.host, "products": each.products, "types": each.types}


def _row(each: dict[str, Any]) -> tuple[object, ...]:
    shown = (", ".join(each[name]) or "all" for name in ("products", "types"))
    return (each["id"], each["receiver"], *shown, each["waiting"], each["dead"], each["disabled"])


def _letter(each: "Delivery") -> dict[str, Any]:
    return {
        "id": each.occurrence.id,
        "subscription": each.subscription,
        "type": each.occurrence.type,
        "product": each.occurrence.product,
        "run": each.occurrence.run,
        "at": each.occurrence.at,
        "tries": each.tries,
        "why": each.why,
        "data": each.occurrence.data,
    }
