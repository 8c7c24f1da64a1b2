from django.db import models
from asynctasq.tasks import AsyncTask

# Define Django model
class User(models.Model):
    email = models.EmailField()
    name = models.CharField(max_length=100)

class Product(models.Model):
    name = models.CharField(max_length=200)
    price = models.DecimalField(max_digits=10, decimal_places=2)

# Task with Django model
class SendWelcomeEmail(AsyncTask[None]):
    queue = "emails"

    def __init__(self, user: User, **kwargs):
        super().__init__(**kwargs)
        self.user = user

    async def execute(self) -> None:
        """Django model automatically serialized as reference."""
        print(f"Sending welcome email to {self.user.email}")

class UpdateProductPrice(AsyncTask[None]):
    queue = "products"

    def __init__(self, product: Product, new_price: float, **kwargs):
        super().__init__(**kwargs)
        self.product = product
        self.new_price = new_price

    async def execute(self) -> None:
        """Django model with additional parameters."""
        print(f"Updating {self.product.name} to ${self.new_price}")

# Dispatch tasks
async def main():
    # Django async methods (Django 3.1+)
    user = await User.objects.aget(id=1)
    await SendWelcomeEmail(user=user).dispatch()

    product = await Product.objects.aget(id=5)
    await UpdateProductPrice(product=product, new_price=99.99).dispatch()
