"""Webhooks: made, listed, given new keys, tried and taken away; and what became of deliveries."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, Product

if TYPE_CHECKING:
    from deployments.settings import Settings
    from deployments.webhooks.hooks import Hook, Hooks
    from deployments.webhooks.inbox import Inbox

app = typer.Typer()
commands = typer.Typer(
    no_args_is_help=True, help="Let a CI, GitHub or MLflow's registry start runs by signed requests."
)
app.add_typer(commands, name="webhook", rich_help_panel="The platform")

Source = Annotated[str, typer.Argument(help="who sends it: mlflow, github or generic", metavar="SOURCE")]
Rules = Annotated[
    list[str] | None,
    typer.Option(
        "--on",
        metavar="WHAT",
        help="what starts something, each by an --on of its own: mlflow alias:NAME, tag:KEY, tag:KEY=VALUE; "
        "github push, merge, workflow; generic release, rollout",
    ),
]
Address = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="the gateway's address as the sender reaches it")
]
_WAIT = timedelta(seconds=30)


@commands.command()
def create(source: Source, product: Product, on: Rules = None, url: Address = None, json: Json = False) -> None:
    """Make a webhook for a product: a key, which is shown once, and in MLflow what sends it.

    Example: seatrial webhook create github flights --on merge
    """
    from deployments.errors import BadInput
    from deployments.webhooks.hooks import new_hook

    settings, hooks, name = _here(product)
    hook = replace(new_hook(source, name, tuple(on or ())), gateway=(url or "").rstrip("/"))
    if any(each.path == hook.path for each in hooks.all()):
        raise BadInput(f"{name} has a webhook of {source}: `seatrial webhook rotate {source} {name}` draws a new key")
    hooks.keep(hook)  # before anybody sends
    if source == "mlflow":
        try:
            hook = _known_to_mlflow(settings, hook)
        except BaseException:
            hooks.remove(hook)
            raise
        hooks.keep(hook)
    _show(settings, hook, json)


@commands.command("list")
def list_webhooks(
    product: Annotated[str | None, typer.Argument(help="of this product only", metavar="[PRODUCT]")] = None,
    limit: Annotated[int, typer.Option(help="how many of the newest deliveries", min=1, max=1000)] = 20,
    json: Json = False,
) -> None:
    """All webhooks, and what became of the newest deliveries. Nothing is changed.

    Example: seatrial webhook list flights --limit 50
    """
    from flows.reports.webhooks import delivery_report, webhook_report

    settings, hooks, name = _here(product)
    made = [hook for hook in hooks.all() if name in {"", hook.product}]
    with _inbox(settings) as inbox:
        found = inbox.newest(limit, name or None)
    if json:
        console.print_json(
            {"webhooks": list(map(webhook_report, made)), "deliveries": list(map(delivery_report, found))}
        )
        return
    if made:
        rows = [(hook.source, hook.product, ", ".join(hook.rules), hook.path, len(hook.keys)) for hook in made]
        console.print_table("Webhooks", ("source", "product", "starts on", "path", "keys"), rows)
    else:
        console.say("There is no webhook yet: `seatrial webhook create SOURCE PRODUCT` makes one")
    if found:
        told = [
            (f"{each.received:%Y-%m-%d %H:%M:%S} UTC", each.product, each.who, each.wish.reason, each.state, each.why)
            for each in found
        ]
        console.print_table("Newest deliveries", ("came", "product", "from", "asks", "became", "why"), told)


@commands.command()
def rotate(
    source: Source,
    product: Product,
    overlap: Annotated[str, typer.Option(help="how long the present key is good beside the new one")] = "1d",
    json: Json = False,
) -> None:
    """Draw a new key, which is shown once. The present one is good for a day more, so that nothing is refused.

    Example: seatrial webhook rotate github flights --overlap 2d
    """
    from deployments.clock import SystemClock
    from deployments.durations import parse_duration
    from deployments.errors import BadInput
    from deployments.local_platform.mlflow_address import mlflow_rest

    settings, hooks, name = _here(product)
    before = hooks.find(source, name)
    try:
        hook = before.rotated(SystemClock().now(), parse_duration(overlap))
    except ValueError as error:
        raise BadInput(f"--overlap: {error}") from None
    hooks.keep(hook)  # MLflow is told when both are good
    if hook.registered:
        try:
            with mlflow_rest(settings) as mlflow:
                mlflow.change_webhook(hook.registered, secret=hook.keys[0].secret)
        except BaseException:
            hooks.keep(before)  # else the key that MLflow goes on signing with would end
            raise
    _show(settings, hook, json)


@commands.command()
def remove(source: Source, product: Product, json: Json = False) -> None:
    """Take a webhook away: its keys are good no more, and MLflow sends nothing any more.

    Example: seatrial webhook remove github flights
    """
    from deployments.errors import NotFound, PlatformUnreachable, TryAgain
    from deployments.local_platform.mlflow_address import mlflow_rest
    from flows.reports.webhooks import webhook_report

    settings, hooks, name = _here(product)
    hook = hooks.find(source, name)
    hooks.keep(replace(hook, keys=()))  # at once, whether MLflow answers or not
    if hook.registered:
        try:
            with suppress(NotFound), mlflow_rest(settings) as mlflow:
                mlflow.remove_webhook(hook.registered)
        except TryAgain as error:
            raise PlatformUnreachable(
                f"its keys are good no more, but MLflow goes on sending ({error}): `seatrial webhook remove {source} "
                f"{name}` once more when it answers"
            ) from None
    hooks.remove(hook)
    if json:
        console.print_json(webhook_report(hook))
    else:
        console.say(f"The webhook of {source} for {name} is gone: what comes by it is refused")


@commands.command()
def test(
    product: Product,
    source: Annotated[str, typer.Option(help="which webhook, where the product has several", metavar="SOURCE")] = "",
    version: Annotated[int, typer.Option(help="which version a rollout is asked for of", min=1)] = 1,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    json: Json = False,
) -> None:
    """Send a delivery as the source would, through the gateway, and tell what became of it: a real run is started.

    Example: seatrial webhook test flights --source github --yes
    """
    from deployments.clock import SystemClock
    from deployments.errors import BadInput, PlatformUnreachable
    from deployments.webhooks.trial import send, what_became
    from flows.reports.webhooks import delivery_report

    settings, hooks, name = _here(product)
    made = [hook for hook in hooks.all() if hook.product == name and source in {"", hook.source}]
    if len(made) != 1:
        found = (
            f"has webhooks of {', '.join(hook.source for hook in made)}: name one by --source"
            if made
            else (f"has no such webhook: `seatrial webhook create SOURCE {name}` makes one")
        )
        raise BadInput(f"{name} {found}")
    (hook,) = made
    if not yes:
        if json or not sys.stdin.isatty():
            raise BadInput(f"this starts a run of {name}: say so with --yes")
        typer.confirm(f"Start a run of {name}, as a delivery of {hook.source} does?", abort=True, err=True)
    gateway = hook.gateway or _gateway(settings)
    if gateway is None:
        raise PlatformUnreachable("there is no gateway to send it to: `seatrial up` starts one")
    sent = send(hook, gateway, version, SystemClock())
    with _inbox(settings) as inbox:
        became = what_became(inbox, sent.mark, _WAIT, SystemClock())
    facts = {
        "status": sent.status,
        "answer": sent.content,
        "delivery": None if became is None else delivery_report(became),
    }
    if json:
        console.print_json(facts)
        return
    console.say(f"answered {sent.status} after {sent.took.total_seconds() * 1000:.0f} ms: {_plainly(sent.content)}")
    if became is not None:
        where = f" (run {became.run})" if became.run else ""
        console.say(f"{name}: {became.wish.reason}: {became.state}{where}{': ' if became.why else ''}{became.why}")


@commands.command("send")
def send_from_elsewhere(
    products: Annotated[list[str], typer.Argument(help="names of products", metavar="PRODUCT...")],
    url: Annotated[str, typer.Option("--url", metavar="URL", help="the gateway's address, with https://")],
    once: Annotated[
        str, typer.Option("--id", metavar="ID", help="of the CI's run: sent again, it starts nothing more")
    ] = "",
    json: Json = False,
) -> None:
    """Ask a platform elsewhere for a release of each product, as a CI does: signed, and again until it is stored.

    Needs no platform here, only the keys, by product, in SEATRIAL_WEBHOOK_KEYS as JSON: they stand on no command line.

    Example: seatrial webhook send flights --url https://models.example --id "$GITHUB_RUN_ID"
    """
    from uuid import uuid4

    from deployments.clock import SystemClock
    from deployments.errors import BadInput
    from deployments.settings import current
    from deployments.webhooks.remote_delivery import deliver, known_keys

    given = current().webhook_keys
    keys = known_keys(given.get_secret_value() if given else "{}")
    if unknown := [name for name in products if name not in keys]:
        raise BadInput(
            f"SEATRIAL_WEBHOOK_KEYS has no key of {', '.join(unknown)}: `seatrial webhook create generic PRODUCT` "
            "on the platform's machine shows one"
        )
    told = []
    for name in dict.fromkeys(products):
        delivery = f"msg_{once}-{name}" if once else f"msg_{uuid4().hex}"
        told.append(deliver(name, url, keys[name], delivery, SystemClock()))
        if not json:
            console.say(f"{name}: {'accepted' if told[-1]['accepted'] else told[-1].get('why', 'nothing to do')}")
    if json:
        console.print_json(told)


@commands.command()
def retry(
    product: Annotated[str | None, typer.Argument(help="of this product only", metavar="[PRODUCT]")] = None,
    json: Json = False,
) -> None:
    """Let deliveries that were given up (dead) wait for their run once more.

    Example: seatrial webhook retry flights
    """
    from deployments.plurals import counted

    settings, _, name = _here(product)
    with _inbox(settings) as inbox:
        number = inbox.again(name or None)
    if json:
        console.print_json({"waiting": number})
    else:
        console.say(f"{counted(number, 'delivery waits', 'deliveries wait')} once more")


def _here(product: str | None) -> "tuple[Settings, Hooks, str]":
    """Settings, the webhooks' folder, and the product's name; empty for none. Raises `NotFound` for an unknown one."""
    from deployments.settings import current
    from deployments.webhooks.hooks import Hooks
    from tasks.spec_file import find_spec, load_product

    settings = current()
    name = load_product(find_spec(product, settings.specs_folder)).product if product else ""
    settings.private_home()
    return settings, Hooks(settings.keys_folder), name


@contextmanager
def _inbox(settings: "Settings") -> "Iterator[Inbox]":
    from deployments.webhooks.inbox import Inbox

    with closing(Inbox(settings.feedback_database)) as inbox:
        yield inbox


def _gateway(settings: "Settings") -> str | None:
    from deployments.local_platform.addresses import read_addresses

    return read_addresses(settings).gateway_from_here


def _known_to_mlflow(settings: "Settings", hook: "Hook") -> "Hook":
    from deployments.clock import SystemClock
    from deployments.errors import PlatformUnreachable
    from deployments.local_platform.mlflow_address import mlflow_rest
    from deployments.webhooks.reconciler import begin, point_at

    address = hook.gateway or _gateway(settings)
    if address is None:
        raise PlatformUnreachable(
            "MLflow has no gateway to send to: start one with `seatrial up`, or say where it is with --url"
        )
    with mlflow_rest(settings) as mlflow, _inbox(settings) as inbox:
        begin(mlflow, inbox, hook, SystemClock().now())
        return replace(hook, registered=point_at(mlflow, hook, address))


def _show(settings: "Settings", hook: "Hook", json: bool) -> None:
    from flows.reports.webhooks import webhook_report

    address = f"{hook.gateway or _gateway(settings) or ''}{hook.path}"
    told = webhook_report(hook) | {"url": address}
    if hook.registered:
        if json:
            console.print_json(told)
        else:
            console.say(f"MLflow sends to {address} on {', '.join(hook.rules)}")
        return
    if json:
        console.print_json(told | {"key": hook.keys[0].secret})
        return
    console.say(f"address   {address}")
    console.say(f"key       {hook.keys[0].secret}  (shown this once)")
    console.say(f"starts on {', '.join(hook.rules)}")


def _plainly(content: Any) -> str:
    if not isinstance(content, dict):
        return str(content)
    return str(content.get("error") or content.get("why") or f"{content.get('action')} accepted")
