from tortoise import fields
from tortoise.models import Model
from asynctasq.tasks import AsyncTask

# Define Tortoise model
class User(Model):
    id = fields.IntField(pk=True)
    email = fields.CharField(max_length=255)
    name = fields.CharField(max_length=100)

class Post(Model):
    id = fields.IntField(pk=True)
    title = fields.CharField(max_length=200)
    author = fields.ForeignKeyField('models.User', related_name='posts')

# Task with Tortoise model
class NotifyNewPost(AsyncTask[None]):
    queue = "notifications"

    def __init__(self, post: Post, author: User, **kwargs):
        super().__init__(**kwargs)
        self.post = post
        self.author = author

    async def execute(self) -> None:
        """Tortoise models automatically serialized as references."""
        print(f"New post '{self.post.title}' by {self.author.name}")

# Dispatch tasks
async def main():
    # Tortoise async methods
    user = await User.get(id=1)
    post = await Post.get(id=10)

    await NotifyNewPost(post=post, author=user).dispatch()
