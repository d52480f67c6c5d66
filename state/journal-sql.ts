/** Every statement of the journal, by name. Parameters are named after the fields of the row they store. */
export const SQL = {
  createMigration: /*sql*/ `
    INSERT INTO migration (id, created_at, updated_at, server, table_name, state, plan, settings, snapshot)
    VALUES (@id, @at, @at, @server, @table, @state, @plan, @settings, @snapshot)`,
  migration: /*sql*/ `SELECT * FROM migration WHERE id = @id`,
  owner: /*sql*/ `SELECT owner_pid, owner_host, owner_started_at FROM migration WHERE id = @id`,
  migrations: /*sql*/ `SELECT * FROM migration ORDER BY created_at DESC, rowid DESC`,
  moveMigration: /*sql*/ `
    UPDATE migration SET state = @to, snapshot = @snapshot, outcome = @outcome, updated_at = @at WHERE id = @migration`,
  addTransition: /*sql*/ `
    INSERT INTO transition (migration, from_state, to_state, event, outcome, at)
    VALUES (@migration, @from, @to, @event, @outcome, @at)`,
  transitions: /*sql*/ `SELECT * FROM transition WHERE migration = @id ORDER BY id`,
  setOwner: /*sql*/ `
    UPDATE migration SET owner_pid = @pid, owner_host = @host, owner_started_at = @startedAt WHERE id = @id`,
  releaseOwner: /*sql*/ `
    UPDATE migration SET owner_pid = NULL, owner_host = NULL, owner_started_at = NULL
     WHERE id = @id AND owner_pid = @pid AND owner_host = @host AND owner_started_at = @startedAt`,
  addBatch: /*sql*/ `
    INSERT INTO batch (migration, generation, batch, rows, ms, at)
    VALUES (@id, @generation, @batch, @rows, @ms, @at)
    ON CONFLICT DO UPDATE SET rows = excluded.rows, ms = excluded.ms, at = excluded.at`,
  batches: /*sql*/ `SELECT * FROM batch WHERE migration = @id AND generation = @generation ORDER BY batch`,
  allBatches: /*sql*/ `SELECT * FROM batch WHERE migration = @id ORDER BY at, generation, batch`,
  addIndexBuild: /*sql*/ `
    INSERT INTO index_build (migration, leaf, index_name, ms, at) VALUES (@id, @leaf, @index, @ms, @at)
    ON CONFLICT DO UPDATE SET ms = excluded.ms, at = excluded.at`,
  indexBuilds: /*sql*/ `SELECT * FROM index_build WHERE migration = @id ORDER BY at, leaf, index_name`,
  addValidation: /*sql*/ `
    INSERT INTO validation (migration, direction, result, rows, source_hash, shadow_hash, ms, at)
    VALUES (@id, @direction, @result, @rows, @sourceHash, @shadowHash, @ms, @at)`,
  validations: /*sql*/ `SELECT * FROM validation WHERE migration = @id ORDER BY id`,
  addCutover: /*sql*/ `
    INSERT INTO cutover (migration, direction, tries, waited_ms, held_ms, longest_stall_ms, at)
    VALUES (@id, @direction, @tries, @waitedMs, @heldMs, @longestStallMs, @at)`,
  cutovers: /*sql*/ `SELECT * FROM cutover WHERE migration = @id ORDER BY id`,
  addMeasurement: /*sql*/ `INSERT INTO measurement (migration, name, value, at) VALUES (@id, @name, @value, @at)`,
  measurements: /*sql*/ `SELECT * FROM measurement WHERE migration = @id AND name = @name ORDER BY id`,
  allMeasurements: /*sql*/ `SELECT * FROM measurement WHERE migration = @id ORDER BY id`,
  addRehearsal: /*sql*/ `INSERT INTO rehearsal (migration, origin, body, at) VALUES (@id, @origin, @body, @at)`,
  /** What was accepted stays accepted while the same is found of the same statement. */
  addFinding: /*sql*/ `
    INSERT INTO finding (rehearsal, n, verdict, statement, reason, accepted_at)
    VALUES (@rehearsal, @n, @verdict, @statement, @reason,
            (SELECT max(f.accepted_at) FROM finding f JOIN rehearsal r ON r.id = f.rehearsal
              WHERE r.migration = @id AND f.statement = @statement AND f.verdict = @verdict))`,
  rehearsal: /*sql*/ `SELECT id, body, at FROM rehearsal WHERE migration = @id ORDER BY id DESC LIMIT 1`,
  findings: /*sql*/ `
    SELECT f.n, f.verdict, f.statement, f.reason, f.accepted_at, r.origin
      FROM finding f JOIN rehearsal r ON r.id = f.rehearsal
     WHERE r.id IN (SELECT max(id) FROM rehearsal WHERE migration = @id GROUP BY origin) ORDER BY f.n`,
  acceptFinding: /*sql*/ `
    UPDATE finding SET accepted_at = @at
     WHERE rehearsal IN (SELECT max(id) FROM rehearsal WHERE migration = @id GROUP BY origin) AND n = @n AND accepted_at IS NULL`,
  dropEventsOfKind: /*sql*/ `DELETE FROM event WHERE migration = @migration AND kind = @kind`,
  addEvent: /*sql*/ `INSERT INTO event (migration, kind, body) VALUES (@migration, @kind, @body)`,
  events: /*sql*/ `SELECT id, kind, body FROM event WHERE migration = @id AND id > @since ORDER BY id`,
  addCommand: /*sql*/ `INSERT INTO command (migration, name, at) VALUES (@id, @name, @at)`,
  pendingCommands: /*sql*/ `SELECT id, name, at FROM command WHERE migration = @id AND taken = 0 ORDER BY id`,
  takePending: /*sql*/ `UPDATE command SET taken = 1 WHERE migration = @id AND taken = 0`,
  answerCommand: /*sql*/ `
    UPDATE command SET taken = 1, ok = @ok, message = @message, answered_at = @at
     WHERE id = @rowid AND answered_at IS NULL`,
  withdrawCommand: /*sql*/ `
    UPDATE command SET taken = 1, ok = 0, message = 'withdrawn: it was not answered in time', answered_at = @at
     WHERE id = @rowid AND taken = 0`,
  expireCommands: /*sql*/ `
    UPDATE command SET taken = 1, ok = 0, message = @message, answered_at = @at
     WHERE migration = @id AND answered_at IS NULL`,
  commandAnswer: /*sql*/ `SELECT ok, message FROM command WHERE id = @rowid AND answered_at IS NOT NULL`,
} as const;
