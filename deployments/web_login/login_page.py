"""The page that whoever is not logged in sees. It asks for nothing from anywhere else."""

import json
from string import Template
from typing import Final

_NAMES = {"prefect": "Prefect", "mlflow": "MLflow"}
# What MLflow's pages remember in a browser, where nobody chose otherwise: they would open in the view for generative
# models, with a notice on telemetry that is switched off.
_REMEMBERED: Final = {
    "mlflow": {
        "mlflow.workflowType_v1": '"machine_learning"',
        "mlflow.telemetry.info.alert.dismissed_v1": "true",
        "mlflow.settings.telemetry.enabled_v1": "false",
    }
}
# The ticket is behind a #, which browsers keep to themselves: it is in no log and no Referer.
_PAGE = Template(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$name – log in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1rem;
  color-scheme: light dark }
code { padding: .1rem .3rem; white-space: nowrap; border: 1px solid #8888; border-radius: .2rem }
input, button { font: inherit; padding: .3rem .6rem }
#said { color: #b00020; min-height: 1.5rem }
</style></head><body>
<h1>$name of Seatrial</h1>
<p>This command opens the page logged in: <code>seatrial open $part</code></p>
<p>If you are logged in already and came by a link, <a id="on" href="">go on</a>.</p>
<form id="form"><label>Or the password: <input id="password" type="password" autocomplete="current-password"></label>
<button>Log in</button></form>
<p id="said" role="status"></p>
<script>
for (const [name, value] of Object.entries($remembered))
  if (localStorage.getItem(name) === null) localStorage.setItem(name, value);
const said = document.getElementById("said"), login = "/seatrial/login";
document.getElementById("on").href = location.pathname === login ? "/" : location.pathname + location.search;
async function show(what) {
  const answer = await fetch(login, {method: "POST", body: JSON.stringify(what)});
  if (answer.status !== 204) { said.textContent = (await answer.json()).message; return; }
  if (location.pathname === login) location.replace("/"); else location.reload();
}
document.getElementById("form").addEventListener("submit", event => {
  event.preventDefault();
  show({password: document.getElementById("password").value});
});
const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
if (ticket) { history.replaceState(null, "", location.pathname + location.search); show({ticket}); }
</script></body></html>
"""
)


def login_page(part: str) -> str:
    """HTML, for `prefect` or `mlflow`."""
    return _PAGE.substitute(part=part, name=_NAMES[part], remembered=json.dumps(_REMEMBERED.get(part, {})))
