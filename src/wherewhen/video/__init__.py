"""Reading and writing of videos: the only folder that uses PyAV."""
