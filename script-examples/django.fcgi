#!/usr/bin/env flupd
#
# A Django site as a program that the web server starts. It stands beside manage.py.
#
#   chmod +x app.fcgi
#
# The first line finds flupd on the web server's PATH. If it is not there, name it:
#   #!/usr/local/bin/flupd
#
# The Python is the one of a virtualenv named venv or .venv beside this file, else
# python3. Another one, or any other option of `flupd run`, stands in a line of its
# own; take one # off:
#
## flupd: --python /srv/mysite/env
## flupd: --workers 2 --threads 4
## flupd: --scgi fd:0

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
