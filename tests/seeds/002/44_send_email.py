from asynctasq.tasks import task

@task(queue='emails')
async def send_email(to: str, subject: str):
    print(f"Sending email to {to}")
