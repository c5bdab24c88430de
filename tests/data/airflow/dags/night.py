"""The DAGs of the live test: they succeed, fail, try again, skip, hang, are cleared and backfilled."""

import os
import time
from datetime import datetime, timedelta

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

START = datetime(2026, 1, 1)


@task
def fine():
    print("all is well")


@task(retries=1, retry_delay=timedelta(seconds=1))
def broken():
    print("loading 5 rows with password=canary-live")
    raise ValueError("bad row 7")


@task
def after(*_):
    print("never reached")


with DAG("nb_good", schedule="* * * * *", start_date=START, catchup=False, tags=["night"]):
    fine()

with DAG("nb_fail", schedule=None, start_date=START):
    after(broken())

with DAG("nb_retry", schedule=None, start_date=START):

    @task(retries=2, retry_delay=timedelta(seconds=1))
    def flaky(ti=None):
        if ti.try_number == 1:
            raise RuntimeError("only the first time")

    flaky()

with DAG("nb_skip", schedule=None, start_date=START):

    @task
    def skipped():
        raise AirflowSkipException("nothing to do")

    skipped()

with DAG("nb_hang", schedule=None, start_date=START, dagrun_timeout=timedelta(seconds=8)):

    @task
    def hang():
        time.sleep(600)

    hang()

with DAG("nb_cleared", schedule=None, start_date=START):

    @task
    def mended():
        if not os.path.exists(os.environ["NB_MENDED"]):
            raise RuntimeError("not mended yet")

    mended()

with DAG("nb_mapped", schedule=None, start_date=START):

    @task
    def part(number):
        if number == 1:
            raise ValueError(f"part {number} is bad")

    part.expand(number=[0, 1, 2])

with DAG("nb_backfill", schedule="0 3 * * *", start_date=START, catchup=False):

    @task
    def old():
        raise RuntimeError("old data is bad")

    old()

with DAG("nb_paused", schedule="0 4 * * *", start_date=START, catchup=False, is_paused_upon_creation=True):
    fine()
