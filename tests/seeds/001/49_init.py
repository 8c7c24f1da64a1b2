import asynctasq
asynctasq.init({'driver': 'redis'})  # or 'postgres', 'mysql', 'sqs'
