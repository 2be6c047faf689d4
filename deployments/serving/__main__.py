"""`python -m deployments.serving`: a model server, as a fork of the fork server where there is one."""

from deployments.serving.forkserver_client import run_forked

if __name__ == "__main__":
    run_forked()
    from deployments.serving.main import run

    run()
