"""What runs beside commands: the preforked process with its watchdog, Prefect's server and worker."""
