"""Faults, on purpose: each is one that a real cluster has, told in its words."""

import httpx
import pytest

from tests.fakes.kubernetes import ConnectionCut, FakeKubernetes, PodScript, Proxied, Request, Target
from tests.unit.fakes.kubernetes.asking import APPLY, Caller, config_map, deployment, path_of, route


def test_a_server_that_is_away_refuses_and_has_forgotten_nothing_when_it_is_back(ask: Caller) -> None:
    ask.create(config_map(a="1"))
    url = ask.api.url
    with ask.api.away(), pytest.raises(httpx.ConnectError):
        ask("GET", path_of("ConfigMap", "settings"))
    assert ask.api.url == url
    assert ask.get("ConfigMap", "settings")["data"] == {"a": "1"}


def test_or_it_resets_connections(ask: Caller) -> None:
    with ask.api.away(resets=True), pytest.raises(httpx.TransportError):
        ask("GET", "/version")
    assert ask("GET", "/version")[0] == 200


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, "Unauthorized"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (504, "Timeout"),
    ],
)
def test_the_next_requests_fail_and_say_when_to_come_back(ask: Caller, code: int, reason: str) -> None:
    ask.api.faults.fail_next(2, code, method="GET", path="configmaps", retry_after=7)
    assert ask("GET", path_of("Secret"))[0] == 200
    for _ in range(2):
        answer = ask.send("GET", path_of("ConfigMap"))
        assert (answer.status_code, answer.json()["reason"], answer.headers["Retry-After"]) == (code, reason, "7")
    assert ask("GET", path_of("ConfigMap"))[0] == 200


def test_an_answer_is_lost_after_the_work_is_done(ask: Caller) -> None:
    ask.api.faults.lose_next_answers(1, method="POST")
    with pytest.raises(httpx.TransportError):
        ask("POST", path_of("ConfigMap"), config_map())
    assert ask("GET", path_of("ConfigMap", "settings"))[0] == 200


def test_every_write_can_be_made_to_conflict(ask: Caller) -> None:
    ask.create(route())
    ask.api.faults.conflict_on("httproutes")
    code, status = ask.merge("HTTPRoute", "flights", {"spec": {"hostnames": ["a.example"]}})
    assert (code, status["reason"]) == (409, "Conflict")
    assert status["message"].startswith(
        'Operation cannot be fulfilled on httproutes.gateway.networking.k8s.io "flights"'
    )
    assert ask("GET", path_of("HTTPRoute", "flights"))[0] == 200
    ask.api.faults.heal()
    assert ask.merge("HTTPRoute", "flights", {"spec": {"hostnames": ["a.example"]}})[0] == 200


def test_or_only_some_writes(ask: Caller) -> None:
    ask.create(config_map())
    ask.api.faults.conflict_on("configmaps", times=2)
    codes = [ask.merge("ConfigMap", "settings", {"data": {"a": "1"}})[0] for _ in range(3)]
    assert codes == [409, 409, 200]


def test_who_may_not_is_told_which_verb_is_missing(ask: Caller) -> None:
    ask.create(deployment())
    ask.api.faults.forbid("patch", "deployments")
    code, status = ask.merge("Deployment", "web", {"spec": {"replicas": 1}})
    assert (code, status["reason"]) == (403, "Forbidden")
    assert status["message"] == (
        'deployments.apps "web" is forbidden: User "system:serviceaccount:default:seatrial" cannot patch resource '
        '"deployments" in API group "apps" in the namespace "default"'
    )
    assert ask("GET", path_of("Deployment", "web"))[0] == 200


@pytest.mark.parametrize(
    ("verb", "method", "path", "message"),
    [
        (
            "list",
            "GET",
            path_of("Pod"),
            'pods is forbidden: User "u" cannot list resource "pods" in API group "" in the',
        ),
        (
            "list",
            "GET",
            path_of("Pod", namespace=""),
            'cannot list resource "pods" in API group "" at the cluster scope',
        ),
        ("watch", "GET", path_of("Pod") + "?watch=1", 'cannot watch resource "pods"'),
        ("delete", "DELETE", path_of("Pod", "x"), 'pods "x" is forbidden: User "u" cannot delete resource "pods"'),
        ("deletecollection", "DELETE", path_of("Pod"), 'cannot deletecollection resource "pods"'),
        ("create", "POST", path_of("Pod"), 'cannot create resource "pods"'),
        ("update", "PUT", path_of("Pod", "x"), 'cannot update resource "pods"'),
    ],
)
def test_every_verb_is_known(ask: Caller, verb: str, method: str, path: str, message: str) -> None:
    ask.api.faults.user = "u"
    ask.api.faults.forbid(verb, "pods")
    answer = ask.wire.request(method, ask.api.url + path)
    assert answer.status_code == 403
    assert message in answer.json()["message"]


def test_subresources_have_rights_of_their_own(ask: Caller) -> None:
    ask.create(deployment(replicas=1))
    name = ask.api.objects("Pod")[0]["metadata"]["name"]
    ask.api.faults.forbid("get", "pods/log")
    code, status = ask("GET", path_of("Pod", name) + "/log")
    assert code == 403
    assert 'cannot get resource "pods/log" in API group ""' in status["message"]
    assert ask("GET", path_of("Pod", name))[0] == 200


def test_the_rules_of_a_role_are_all_that_is_allowed(ask: Caller) -> None:
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}]
    ask.api.faults.permit_only(rules)
    assert ask("GET", path_of("ConfigMap", "settings"))[0] == 404
    assert ask("GET", path_of("Secret", "settings"))[0] == 403
    code, status = ask.apply(config_map())
    assert code == 403
    assert "cannot create resource" in status["message"]
    review = {"spec": {"resourceAttributes": {"verb": "patch", "resource": "configmaps", "namespace": "default"}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert ask("POST", path, review)[1]["status"] == {"allowed": True}
    review["spec"]["resourceAttributes"]["verb"] = "delete"
    assert ask("POST", path, review)[1]["status"] == {"allowed": False}


def test_a_quota_refuses_objects(ask: Caller) -> None:
    ask.api.faults.limit("deployments", 1)
    ask.create(deployment("a"))
    code, status = ask.apply(deployment("b"))
    assert (code, status["reason"]) == (403, "Forbidden")
    assert status["message"] == (
        'deployments.apps "b" is forbidden: exceeded quota: seatrial-quota, requested: count/deployments.apps=1, '
        "used: count/deployments.apps=1, limited: count/deployments.apps=1"
    )


def test_a_quota_of_pods_is_told_by_the_deployment(ask: Caller) -> None:
    ask.api.faults.limit("pods", 1)
    ask.create(deployment(replicas=2))
    status = ask.get("Deployment", "web")["status"]
    failures = [each for each in status["conditions"] if each["type"] == "ReplicaFailure"]
    assert (failures[0]["status"], failures[0]["reason"]) == ("True", "FailedCreate")
    assert "exceeded quota: seatrial-quota, requested: pods=1, used: pods=1, limited: pods=1" in failures[0]["message"]
    assert status["readyReplicas"] == 1


def test_a_pod_behind_the_proxy_answers_what_the_test_says(ask: Caller) -> None:
    ask.create(deployment(replicas=1))
    name = ask.api.objects("Pod")[0]["metadata"]["name"]
    path = path_of("Pod", f"{name}:8080") + "/proxy/metrics"
    code, status = ask("GET", path)
    assert (code, status["reason"]) == (503, "ServiceUnavailable")
    seen: list[tuple[str, str, str]] = []

    def answer(request: Request, target: Target) -> Proxied:
        seen.append((request.method, target.name, target.rest))
        return Proxied(200, b"requests_total 5\n", "text/plain")

    ask.api.answer_pods(answer)
    assert ask("GET", path) == (200, "requests_total 5\n")
    assert seen == [("GET", f"{name}:8080", "metrics")]
    assert ask("GET", path_of("Pod", "nobody:8080") + "/proxy/metrics")[0] == 404


def test_the_log_of_a_pod_is_what_its_script_says(ask: Caller) -> None:
    ask.api.script("web", PodScript(log="model loaded\n"))
    ask.create(deployment(replicas=1))
    name = ask.api.objects("Pod")[0]["metadata"]["name"]
    assert ask("GET", path_of("Pod", name) + "/log") == (200, "model loaded\n")


def test_requests_are_recorded(ask: Caller) -> None:
    ask.apply(config_map())
    ask("GET", path_of("ConfigMap"), limit=5)
    first, second = ask.api.requests
    assert (first.method, first.path) == ("PATCH", path_of("ConfigMap", "settings"))
    assert (first.content_type, first.query["fieldManager"]) == (APPLY, "seatrial")
    assert (second.method, second.query) == ("GET", {"limit": "5"})
    assert ask.api.request_count == 2


def test_a_connection_can_be_cut_at_any_step(ask: Caller) -> None:
    def cut_writes(request: Request) -> None:
        if request.method != "GET":
            raise ConnectionCut

    ask.api.faults.before_each = cut_writes
    with pytest.raises(httpx.TransportError):
        ask.create(config_map())
    assert ask("GET", path_of("ConfigMap", "settings"))[0] == 404


def test_a_namespace_can_ask_for_restricted_pods(ask: Caller) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    ask.api.put({"kind": "Namespace", "metadata": {"name": "default", "labels": labels}})
    ask.create(deployment(replicas=1))
    status = ask.get("Deployment", "web")["status"]
    (failure,) = (each["message"] for each in status["conditions"] if each["type"] == "ReplicaFailure")
    assert (
        'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "model" must' in failure
    )
    assert 'must set securityContext.capabilities.drop=["ALL"]' in failure
    assert "runAsNonRoot != true" in failure
    assert "seccompProfile" in failure
    thing = deployment(replicas=1)
    pod = thing["spec"]["template"]["spec"]
    pod["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    pod["containers"][0]["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    ask.apply(thing, force=True)
    status = ask.get("Deployment", "web")["status"]
    assert status["readyReplicas"] == 1
    assert "ReplicaFailure" not in {each["type"] for each in status["conditions"]}


def test_a_test_can_step_in_before_each_request(ask: Caller) -> None:
    seen: list[str] = []
    ask.api.faults.before_each = lambda request: seen.append(request.method)
    ask("GET", "/version")
    assert seen == ["GET"]


def test_what_goes_wrong_in_the_fake_itself_fails_the_test() -> None:
    def break_down(request: Request) -> None:
        raise ZeroDivisionError(request.path)

    def use() -> None:
        with FakeKubernetes() as api:
            api.faults.before_each = break_down
            with pytest.raises(httpx.TransportError):
                httpx.get(api.url + "/version", trust_env=False)

    with pytest.raises(ZeroDivisionError):
        use()
