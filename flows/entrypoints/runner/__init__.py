"""What runs beside commands: the preforked process, the watchdog, Prefect's server and worker."""
