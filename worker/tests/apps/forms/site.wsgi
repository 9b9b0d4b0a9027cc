import pickle


class Pickled:
    pass


def application(environ, start_response):
    start_response("200 OK", [])
    pickled = type(pickle.loads(pickle.dumps(Pickled()))) is Pickled
    return [("%s %s %s" % (__name__, __file__.rsplit("/", 1)[1], pickled)).encode()]
