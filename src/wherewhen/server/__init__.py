"""The web server of the service: health, measurements, status page, and alerts as Frigate serves its events."""
