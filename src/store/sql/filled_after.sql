-- Behind the rows of a full store on a server.
DO $$ DECLARE one text; BEGIN
  FOR one IN SELECT indexdef FROM later LOOP EXECUTE one; END LOOP;
END $$;
ANALYZE;
