"""The alert budget: from normal footage to a threshold that keeps false alarms below a number a day."""
