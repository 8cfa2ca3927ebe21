"""Jobs in processes of their own: started, followed, stopped, and found again."""
