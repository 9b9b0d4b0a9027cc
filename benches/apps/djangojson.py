"""Django answers a small JSON object, through the middleware of a new project that needs no database."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="a benchmark has no secrets",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


def json(request):
    return JsonResponse({"message": "hello"})


urlpatterns = [path("json", json)]
application = get_wsgi_application()
