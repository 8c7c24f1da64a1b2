# ❌ WRONG: This doesn't work
@task
async def send_email(to: str):
    queue = "emails"  # This is just a local variable, not configuration!
    pass

# ✅ CORRECT: Use decorator arguments
@task(queue='emails')
async def send_email(to: str):
    pass
