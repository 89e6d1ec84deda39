"""Says what a JSON Schema has against each of the documents on standard input: a list of complaints, null for none.

Members that the schema does not describe are complained of too, though the schema itself allows for newer ones.
usage: formats.py SCHEMA <DOCUMENTS      (exit 3 where there is no jsonschema that is new enough)
"""

import json
import sys

try:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
except ImportError as error:
    print(error)
    sys.exit(3)


def closed(schema):
    """The schema, with no room for members that it does not describe."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if "required" in schema:
        schema["additionalProperties"] = False
    return schema


with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(closed(schema))


def complaint(document):
    error = best_match(validator.iter_errors(document))
    return error and f"{error.json_path}: {error.message}"


print(json.dumps([complaint(document) for document in json.load(sys.stdin)]))
