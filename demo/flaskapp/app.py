"""A small Flask app with a session: `flupd serve app:app`."""

from flask import Flask, redirect, render_template, request, session, url_for

app = Flask(__name__)
# A demo on loopback. A real app keeps its key out of the source.
app.secret_key = "demo-key-of-no-worth"


@app.get("/")
def index():
    session["visits"] = session.get("visits", 0) + 1
    return render_template("index.html", visits=session["visits"], name=session.get("name"))


@app.post("/login")
def login():
    session["name"] = request.form["name"]
    return redirect(url_for("index"))


@app.post("/logout")
def logout():
    session.clear()
    return redirect(url_for("index"))
