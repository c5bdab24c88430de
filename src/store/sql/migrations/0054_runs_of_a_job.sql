-- What has become of a job lately is asked of its latest runs alone, however many of them are remembered.
CREATE INDEX instance_of_job ON instance (source, job, settled_moment) WHERE settled_moment IS NOT NULL;
