"""Makes a typed client of a service's OpenAPI description with openapi-python-client (from PyPI), and asks with it.

Arguments: the address of the service, its keys as JSON, and the day that its clock says. The client knows nothing of Shoal but the
description, so what it takes apart is what the description says. Events go in as its types, answers and refusals come out as its types.
"""

import importlib
import json
import pathlib
import subprocess
import sys
import tempfile


def generate(host, place):
    """The package of the client, as the README says that it is made."""
    program = pathlib.Path(sys.executable).parent / "openapi-python-client"
    command = [program, "generate", "--url", f"{host}/openapi.json", "--meta", "none", "--output-path", place / "shoal_client"]
    # It formats what it has made with ruff, where that is on the path.
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(program.parent)})
    if done.returncode != 0:
        sys.exit(f"no client can be made of the description:\n{done.stdout}\n{done.stderr}")
    sys.path.insert(0, str(place))
    return importlib.import_module("shoal_client")


def module(name):
    return importlib.import_module(f"shoal_client.{name}")


def main(host, keys, day):
    with tempfile.TemporaryDirectory() as place:
        shoal = generate(host, pathlib.Path(place))
        models = module("models")

        def client(key):
            return shoal.AuthenticatedClient(base_url=host, token=key)

        def typed(answer, wanted):
            assert isinstance(answer, wanted), f"{answer} is no {wanted.__name__}"
            return answer

        properties = models.EventProperties.from_dict({"element": "add"})
        event = models.Event(
            id="typed-1", event="click", time=f"{day}T08:00:00Z", user_id="u-17", country="DE", properties=properties
        )
        send = module("api.ingest.send_events").sync
        judged = typed(send(client=client(keys["server"]), body=event), models.JudgedBatch)
        assert (judged.received, judged.accepted) == (1, 1), judged
        judged = typed(send(client=client(keys["server"]), body=models.EventBatch(events=[event])), models.JudgedBatch)
        assert (judged.accepted, judged.duplicate) == (0, 1), judged
        taken = typed(send(client=client(keys["shipped"]), body=event), models.TakenBatch)
        assert taken.received == 1, taken

        question = models.Question(sql=f"SELECT COUNT(*) AS n FROM usage WHERE day = DATE '{day}' AND region = 'DE'")
        answer = typed(module("api.query.ask").sync(client=client(keys["analyst"]), body=question), models.Answer)
        assert answer.columns[0].name == "n", answer
        refused = module("api.query.ask").sync(client=client(keys["analyst"]), body=models.Question(sql="SELECT"))
        assert typed(refused, models.Problem).code == models.ProblemCode.REFUSED and refused.example, refused
        unknown = module("api.query.list_tables").sync(client=client("nobody.nothing"))
        assert typed(unknown, models.Problem).status == 401, unknown
        catalogue = typed(module("api.ingest.get_schema").sync(client=client(keys["server"])), models.Catalogue)
        assert any(event.name == "click" for event in catalogue.events), catalogue


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])
