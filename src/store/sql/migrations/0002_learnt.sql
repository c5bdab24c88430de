-- What was learnt of a source that its documents leave open: one answer to each question.
CREATE TABLE learnt (
    source   TEXT NOT NULL,
    question TEXT NOT NULL,
    answer   TEXT NOT NULL,
    PRIMARY KEY (source, question)
);
