"""Cargo's filters over plain rows, written from the contract alone: the second opinion on the sandbox's SQL."""

import json

OPERATORS = {"is", "isNot", "contains", "doesNotContain", "startsWith", "endsWith"}


def picks(tree, row, types):
    """Tell whether a filter picks a row; `types` maps column slugs to Cargo's types."""
    groups = [group(each, row, types) for each in tree.get("groups", [])]
    return joined(groups, tree.get("conjonction"), empty=True)


def group(tree, row, types):
    return joined([condition(each, row, types) for each in tree.get("conditions", [])], tree.get("conjonction"))


def joined(results, how, *, empty=None):
    """Join what is not None, that is, what was not dropped."""
    kept = [result for result in results if result is not None]
    if not kept:
        return empty
    return any(kept) if how == "or" else all(kept)


def condition(tree, row, types):
    slug, kind = tree.get("columnSlug"), tree.get("kind")
    if slug not in types:
        return None
    value = row[slug]
    if kind == "objectProperty":
        return properties([tree], "and", value, types[slug])
    if kind != types[slug]:
        return None
    if tree["operator"] in {"isNull", "isNotNull"}:
        return (value is None) == (tree["operator"] == "isNull")
    if kind in {"object", "array"}:
        if tree["operator"] != "matchConditions":
            return None
        return properties(tree["propertyConditions"], tree["conjonction"], value, kind)
    tests = {"string": string, "number": ordered, "date": ordered, "boolean": boolean}
    return tests[kind](tree, value) if kind in tests else None


def string(tree, value):
    if tree["operator"] in {"isEmpty", "isNotEmpty"}:
        return value is not None and (value == "") == (tree["operator"] == "isEmpty")
    values = tree.get("values")
    if values is None or tree["operator"] not in OPERATORS:
        return None
    return texts(tree["operator"], value, [values] if isinstance(values, str) else values)


def texts(operator, value, values):
    if value is None:
        return False
    return {
        "is": any(value == each for each in values),
        "isNot": all(value != each for each in values),
        "contains": any(each in value for each in values),
        "doesNotContain": all(each not in value for each in values),
        "startsWith": any(value.startswith(each) for each in values),
        "endsWith": any(value.endswith(each) for each in values),
    }[operator]


def ordered(tree, value):
    operator = tree["operator"]
    if operator == "between":
        return value is not None and tree["firstValue"] <= value <= tree["lastValue"]
    if "value" not in tree:
        return None
    return (
        value is not None
        and {
            "is": value == tree["value"],
            "isNot": value != tree["value"],
            "greaterThan": value > tree["value"],
            "lowerThan": value < tree["value"],
        }[operator]
    )


def boolean(tree, value):
    return value is (tree["operator"] == "isTrue")


def properties(trees, how, value, kind):
    if kind == "object":
        return joined([of_object(each, value) for each in trees], how)
    if kind != "array":
        return None
    return any(joined([of_object(each, item) for each in trees], how) for item in value or [])


def of_object(tree, value):
    found = value.get(tree["propertyName"]) if isinstance(value, dict) else None
    text = found if found is None or isinstance(found, str) else json.dumps(found, separators=(",", ":"))
    operator = tree["operator"]
    if operator in {"isNull", "isNotNull"}:
        return (text is None) == (operator == "isNull")
    if operator in {"isEmpty", "isNotEmpty"}:
        return text is not None and (text == "") == (operator == "isEmpty")
    if operator == "between":
        low, high = comparable(text, tree["value"]), comparable(text, tree["otherValue"])
        return low is not None and high is not None and low[0] >= low[1] and high[0] <= high[1]
    if operator in {"greaterThan", "lowerThan"}:
        pair = comparable(text, tree["value"])
        return pair is not None and (pair[0] > pair[1] if operator == "greaterThan" else pair[0] < pair[1])
    return texts(operator, text, [tree["value"]])


def comparable(text, operand):
    """Numbers if the operand is one, else texts; None if they cannot be compared."""
    if text is None:
        return None
    try:
        number = float(operand)
    except ValueError:
        return text, operand
    try:
        return float(text), number
    except ValueError:
        return None
