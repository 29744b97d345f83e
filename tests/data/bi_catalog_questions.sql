-- What BI tools send when they connect and look for tables. After each name: what the answer must have.

-- Metabase: version -> 18
SHOW server_version;

-- Metabase: schemas that may be read -> gold
SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_' AND
has_schema_privilege(nspname, 'USAGE');

-- Metabase: tables -> device_hours
SELECT n.nspname AS schema, c.relname AS name, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' END
AS type, d.description, stat.n_live_tup FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON
c.relnamespace = n.oid LEFT JOIN pg_catalog.pg_description d ON c.oid = d.objoid AND d.objsubid = 0 AND
d.classoid = 'pg_class'::regclass LEFT JOIN pg_stat_user_tables stat ON n.nspname = stat.schemaname AND
c.relname = stat.relname WHERE c.relkind IN ('r', 'p', 'v', 'f', 'm') AND n.nspname !~ '^pg_' AND n.nspname <>
'information_schema' AND has_table_privilege(c.oid, 'SELECT') ORDER BY 3, 1, 2;

-- Metabase: fields -> Median, interpolated between readings
SELECT c.column_name AS name, CASE WHEN c.udt_schema IN ('public', 'pg_catalog') THEN format('%s', c.udt_name)
ELSE format('"%s"."%s"', c.udt_schema, c.udt_name) END AS database_type, c.ordinal_position - 1 AS position,
c.table_schema, c.table_name, pk.column_name IS NOT NULL AS is_pk, col_description(cast(cast(format('%I.%I',
c.table_schema, c.table_name) AS regclass) AS oid), c.ordinal_position) AS remarks, c.column_default IS NULL
AND c.is_nullable = 'NO' FROM information_schema.columns c LEFT JOIN (SELECT tc.table_schema, tc.table_name,
kc.column_name FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage kc ON
tc.constraint_name = kc.constraint_name AND tc.table_schema = kc.table_schema AND tc.table_name =
kc.table_name WHERE tc.constraint_type = 'PRIMARY KEY') pk ON c.table_schema = pk.table_schema AND
c.table_name = pk.table_name AND c.column_name = pk.column_name WHERE c.table_schema = 'gold';

-- Metabase: privileges -> device_completeness
WITH table_privileges AS (SELECT NULL AS role, t.schemaname AS schema, t.objectname AS table,
pg_catalog.has_any_column_privilege(current_user, '"' || t.schemaname || '"."' || t.objectname || '"',
'update') AS can_update, pg_catalog.has_table_privilege(current_user, '"' || t.schemaname || '"."' ||
t.objectname || '"', 'SELECT') AS can_select FROM (SELECT schemaname, viewname AS objectname FROM
pg_catalog.pg_views UNION SELECT schemaname, tablename FROM pg_catalog.pg_tables) t WHERE t.schemaname =
'gold') SELECT * FROM table_privileges WHERE can_select AND NOT can_update;

-- Superset (SQLAlchemy): begin -> PostgreSQL 18
SELECT pg_catalog.version();

-- Superset: isolation -> read committed
SHOW transaction isolation level;

-- Superset: strings -> on
SHOW standard_conforming_strings;

-- Superset: views -> site_days
SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON
pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relkind = ANY
(ARRAY['v']) AND pg_catalog.pg_class.relpersistence != 't' AND
pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != 'pg_catalog';

-- Superset: columns -> double precision
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin,
d.adrelid) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef)
AS default_value, a.attnotnull, pgd.description, a.attgenerated, (SELECT json_build_object('always',
a.attidentity = 'a') WHERE a.attidentity != '') AS identity FROM pg_catalog.pg_attribute a LEFT JOIN
pg_catalog.pg_description pgd ON pgd.objoid = a.attrelid AND pgd.objsubid = a.attnum WHERE a.attrelid =
'gold.site_days'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

-- Grafana: tables -> device_latest
SELECT CASE WHEN quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE
trim(s[i]) END FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1),
array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS i,
string_to_array(current_setting('search_path'), ',') s) THEN quote_ident(table_name) ELSE
quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table" FROM information_schema.tables
WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_prometheus_catalog',
'timescaledb_information') ORDER BY CASE WHEN quote_ident(table_schema) = 'gold' THEN 0 ELSE 1 END, 1;

-- Grafana: columns -> timestamp with time zone
SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns WHERE
quote_ident(table_schema) = 'gold' AND quote_ident(table_name) = 'device_hours';

-- Grafana: TimescaleDB -> 0
SELECT count(extversion) FROM pg_extension WHERE extname = 'timescaledb';

-- Grafana: a panel -> 17949
SELECT floor(extract(epoch FROM hour_at) / 3600) * 3600 AS "time", avg(value_mean) AS value FROM
gold.device_hours WHERE hour_at BETWEEN '2026-11-18T00:00:00Z' AND '2026-11-19T00:00:00Z' GROUP BY 1;

-- Tableau: tables (ODBC) -> hours_with_completeness
SELECT relname, nspname, relkind FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n WHERE relkind IN ('r',
'v', 'm', 'f', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'pg_temp_1') AND n.oid
= relnamespace AND has_table_privilege(c.oid, 'select') ORDER BY nspname, relname;

-- Tableau: columns (ODBC) -> timestamptz
SELECT n.nspname, c.relname, a.attname, a.atttypid, t.typname, a.attnum, a.attlen, a.atttypmod, a.attnotnull,
c.relhasrules, c.relkind, c.oid, pg_get_expr(d.adbin, d.adrelid), CASE t.typtype WHEN 'd' THEN t.typbasetype
ELSE 0 END, t.typtypmod, 0, attidentity, c.relhassubclass FROM (((pg_catalog.pg_class c INNER JOIN
pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND c.relname = 'device_hours' AND n.nspname = 'gold')
INNER JOIN pg_catalog.pg_attribute a ON (NOT a.attisdropped) AND a.attnum > 0 AND a.attrelid = c.oid) INNER
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid) LEFT OUTER JOIN pg_attrdef d ON a.atthasdef AND d.adrelid =
a.attrelid AND d.adnum = a.attnum ORDER BY n.nspname, c.relname, attnum;

-- Tableau: keys
SELECT ta.attname, ia.attnum, ic.relname, n.nspname, tc.relname FROM pg_catalog.pg_attribute ta,
pg_catalog.pg_attribute ia, pg_catalog.pg_class tc, pg_catalog.pg_index i, pg_catalog.pg_namespace n,
pg_catalog.pg_class ic WHERE tc.relname = 'devices' AND n.nspname = 'gold' AND tc.oid = i.indrelid AND n.oid =
tc.relnamespace AND i.indisprimary AND ia.attrelid = i.indexrelid AND ta.attrelid = i.indrelid AND ta.attnum =
i.indkey[ia.attnum - 1] AND ic.oid = i.indexrelid;

-- Power BI (Npgsql): types -> float8
SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid FROM (SELECT typ.oid,
typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind, elemtyp.oid AS
elemtypoid FROM (SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
CASE WHEN proc.proname = 'array_recv' THEN 'a' ELSE typ.typtype END AS typtype FROM pg_type AS typ LEFT JOIN
pg_class AS cls ON cls.oid = typ.typrelid LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive) AS typ LEFT
JOIN pg_type AS elemtyp ON elemtyp.oid = elemoid) AS t JOIN pg_namespace AS ns ON ns.oid = typnamespace WHERE
typtype IN ('b', 'r', 'm', 'e', 'd');

-- Power BI: character sets -> UTF8
SELECT character_set_name FROM information_schema.character_sets;

-- Power BI: tables -> completeness_days
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM INFORMATION_SCHEMA.tables WHERE TABLE_SCHEMA NOT IN
('information_schema', 'pg_catalog') ORDER BY TABLE_SCHEMA, TABLE_NAME;

-- Power BI: columns -> double precision
SELECT COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, CASE WHEN (data_type LIKE '%unsigned%') THEN DATA_TYPE || '
unsigned' ELSE DATA_TYPE END AS DATA_TYPE FROM INFORMATION_SCHEMA.columns WHERE TABLE_SCHEMA = 'gold' AND
TABLE_NAME = 'device_hours' ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION;

-- Power BI: foreign keys
SELECT pkcol.COLUMN_NAME AS pk, fkcol.COLUMN_NAME AS fk, fkcon.CONSTRAINT_SCHEMA FROM (SELECT DISTINCT
constraint_catalog, constraint_schema, unique_constraint_schema, constraint_name, unique_constraint_name FROM
INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) fkcon INNER JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE fkcol ON
fkcon.CONSTRAINT_SCHEMA = fkcol.CONSTRAINT_SCHEMA AND fkcon.CONSTRAINT_NAME = fkcol.CONSTRAINT_NAME INNER JOIN
INFORMATION_SCHEMA.KEY_COLUMN_USAGE pkcol ON fkcon.UNIQUE_CONSTRAINT_SCHEMA = pkcol.CONSTRAINT_SCHEMA AND
fkcon.UNIQUE_CONSTRAINT_NAME = pkcol.CONSTRAINT_NAME WHERE fkcol.TABLE_NAME = 'devices';

-- pools: give back
DISCARD ALL;
