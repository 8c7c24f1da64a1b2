# Override class defaults at dispatch time
task_id = await ProcessPayment(user_id=123, amount=99.99) \
    .on_queue("high-priority") \  # Override class attribute
    .retry_after(120) \            # Override retry_delay
    .delay(60) \                   # Add delay
    .dispatch()
