"""An object store with the interface of S3 on loopback: moto's server, in memory, for as long as a test wants it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

ACCESS: Final = {
    "AWS_ACCESS_KEY_ID": "ann",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "AWS_DEFAULT_REGION": "us-east-1",
    # Without it botocore asks the cloud's address for metadata who we are.
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def object_store(bucket: str) -> Iterator[Mapping[str, str]]:
    """A store with one empty bucket; gives the environment that leads to it."""
    import boto3
    from fsspec import get_filesystem_class
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    try:
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name=ACCESS["AWS_DEFAULT_REGION"],
            aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket=bucket)
        yield ACCESS | {"AWS_ENDPOINT_URL": address}
    finally:
        server.stop()
        # Else whoever opens the next one in this process is led to this one.
        get_filesystem_class("s3").clear_instance_cache()
