"""One page: the entries, and a form that adds one."""

from django import forms
from django.shortcuts import redirect, render

from .models import Entry


class EntryForm(forms.ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "text"]
        widgets = {"text": forms.Textarea(attrs={"rows": 3})}


def index(request):
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("index")

    gateway = {
        name: request.META.get(name, "")
        for name in ("SERVER_SOFTWARE", "SCRIPT_NAME", "PATH_INFO", "wsgi.multithread", "wsgi.multiprocess")
    }
    context = {"form": form, "entries": Entry.objects.all()[:20], "gateway": gateway}
    return render(request, "guestbook/index.html", context)
