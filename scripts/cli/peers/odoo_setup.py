"""Runs in `odoo shell` on a fresh database: the people of a small plant, a machine, a part, Telltale's rights.

Prints, as JSON, the key of each person for Odoo's API. What it does for the user "telltale" is what docs/cmms/odoo.md
asks an administrator to do.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

CODES = ("failure_mode", "failure_cause", "action_taken", "note")
DAYS = 3650  # until the keys expire, and the longest that groups allow here; 90 for employees as Odoo comes


def setup(env: Any) -> dict[str, str]:
    """Keys by login."""
    env["ir.config_parameter"].set_param("ir_attachment.location", "db")  # so that the database is all there is to copy
    env["ir.attachment"].force_storage()
    user, manager = env.ref("base.group_user"), env.ref("maintenance.group_equipment_manager")
    bots = env["res.groups"].create({"name": "Telltale", "implied_ids": [(4, user.id)]})
    for model in ("maintenance.request", "maintenance.equipment"):
        env["ir.rule"].create(
            {
                "name": f"Telltale reads every {model}",
                "model_id": env["ir.model"]._get(model).id,
                "domain_force": "[(1, '=', 1)]",
                "groups": [(4, bots.id)],
            }
        )
    people = {
        "telltale": person(env, "telltale", "Telltale", bots),
        "mia": person(env, "mia", "Mia", manager),
        "admin": env.ref("base.user_admin"),
    }
    for name in CODES:
        env["ir.model.fields"].create(
            {
                "name": f"x_{name}",
                "field_description": name.replace("_", " "),
                "model_id": env["ir.model"]._get("maintenance.request").id,
                "ttype": "char",
            }
        )
    env["maintenance.equipment"].create({"name": "Pump 7", "serial_no": "pump-7"})
    stocked(env, "6205-2RS", 4)
    rule(env)
    env["res.groups"].search([]).api_key_duration = DAYS
    until = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=DAYS - 1)
    return {
        login: env["res.users.apikeys"].with_user(one)._generate("rpc", "test", until) for login, one in people.items()
    }


def person(env: Any, login: str, name: str, group: Any) -> Any:
    users = env["res.users"].with_context(no_reset_password=True)
    return users.create({"name": name, "login": login, "password": login, "group_ids": [(6, 0, [group.id])]})


def stocked(env: Any, part: str, quantity: float) -> None:
    """A spare part, so many of which lie in the warehouse."""
    product = env["product.product"].create({"name": "Deep groove ball bearing", "default_code": part})
    product.product_tmpl_id.is_storable = True
    place = env["stock.warehouse"].search([], limit=1).lot_stock_id
    env["stock.quant"]._update_available_quantity(product, place, quantity)


def rule(env: Any) -> None:
    """Tells of each order whose state changes, at an address that whoever runs this puts in."""
    model = env["ir.model"]._get("maintenance.request")
    fields = env["ir.model.fields"].search([("model_id", "=", model.id)])
    automation = env["base.automation"].create(
        {
            "name": "Tell Telltale",
            "model_id": model.id,
            "trigger": "on_create_or_write",
            "trigger_field_ids": [
                (6, 0, fields.filtered(lambda one: one.name in ("stage_id", "kanban_state", "archive")).ids)
            ],
        }
    )
    env["ir.actions.server"].create(
        {
            "name": "Tell Telltale",
            "model_id": model.id,
            "state": "webhook",
            "usage": "base_automation",
            "base_automation_id": automation.id,
            "webhook_url": "http://127.0.0.1:9/",
            "webhook_field_ids": [(6, 0, fields.filtered(lambda one: one.name == "write_date").ids)],
        }
    )
    automation.active = False


if "env" in globals():  # `odoo shell` gives it
    KEYS = setup(globals()["env"])
    globals()["env"].cr.commit()
    print("KEYS " + json.dumps(KEYS))
