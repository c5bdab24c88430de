"""A file of Airflow from which no DAG comes."""

raise ImportError("this file is broken, as the live test wants")
