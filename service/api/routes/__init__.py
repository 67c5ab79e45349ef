"""Every router of the API, in the order in which OpenAPI lists them."""

from fastapi import APIRouter

from service.api.routes.datasets import router as datasets
from service.api.routes.decisions import router as decisions
from service.api.routes.health import router as health
from service.api.routes.keys import router as keys

ROUTERS: tuple[APIRouter, ...] = (datasets, decisions, keys, health)
