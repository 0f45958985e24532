"""What a database holds, as a dictionary that can be compared with another's: an MD5 over each table's
rows, each sequence's value, each definition as the server itself prints it.

    difference(source.checksum("a"), other.checksum("b"))     # a list of lines; empty: equal
"""

import json

# Where objects of users are; `{without}` is a list of schemas left out, pg_temp included.
_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ({without})"
# Belongs to an extension.
_NOT_OF_EXTENSION = ("NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = '{catalog}'::regclass "
                     "AND e.objid = {oid} AND e.deptype = 'e')")

# Each gives (name, definition).
_DEFINITIONS = {
    "schema": "SELECT nspname, '' FROM pg_namespace n WHERE {ours}",
    "extension": "SELECT extname, extversion FROM pg_extension",
    "table": """
        SELECT c.oid::regclass, concat_ws(' ', c.relkind, c.relpersistence, c.relreplident,
               c.relrowsecurity, pg_get_partkeydef(c.oid), c.reloptions::text,
               pg_get_expr(c.relpartbound, c.oid),
               (SELECT string_agg(inhparent::regclass::text, ',') FROM pg_inherits WHERE inhrelid = c.oid))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f', 'm') AND {ours}""",
    "column": """
        SELECT c.oid::regclass::text || ' ' || quote_ident(a.attname), concat_ws(' ',
               row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum),
               format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
               l.collname, pg_get_expr(d.adbin, d.adrelid), a.attstorage)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'c') AND {ours}""",
    "constraint": """
        SELECT CASE WHEN o.conrelid <> 0 THEN o.conrelid::regclass::text
               ELSE o.contypid::regtype::text END || ' ' || quote_ident(o.conname),
               concat_ws(' ', o.contype, pg_get_constraintdef(o.oid), o.convalidated)
        FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace WHERE {ours}""",
    "index": """
        SELECT i.indexrelid::regclass, concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisunique,
               i.indisprimary, i.indisvalid, i.indisreplident, i.indisclustered)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {ours}""",
    "trigger": """
        SELECT t.tgrelid::regclass::text || ' ' || quote_ident(t.tgname),
               concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND {ours}""",
    "view": """
        SELECT c.oid::regclass, pg_get_viewdef(c.oid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('v', 'm') AND {ours}""",
    "function": """
        SELECT p.oid::regprocedure, pg_get_functiondef(p.oid)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prokind IN ('f', 'p') AND {ours} AND {not_of_extension_proc}""",
    "enum": """
        SELECT t.oid::regtype, string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
        FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
        JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {ours} GROUP BY t.oid""",
    "domain": """
        SELECT t.oid::regtype, concat_ws(' ', format_type(t.typbasetype, t.typtypmod), t.typnotnull,
               t.typdefault)
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'd' AND {ours}""",
    "range": """
        SELECT t.oid::regtype, concat_ws(' ', r.rngsubtype::regtype, r.rngmultitypid::regtype)
        FROM pg_range r JOIN pg_type t ON t.oid = r.rngtypid
        JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {ours}""",
    "sequence definition": """
        SELECT c.oid::regclass, concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement,
               s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
               (SELECT string_agg(d.deptype::text || ':' || d.refobjid::regclass || '.' || a.attname, ',')
                FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
        FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {ours}""",
    "comment": """
        SELECT pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description
        FROM pg_description d
        JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {ours}""",
    "large object": """
        SELECT m.oid, md5(lo_get(m.oid)) FROM pg_largeobject_metadata m""",
}


def _array(names):
    return "ARRAY[" + ",".join("'" + name.replace("'", "''") + "'" for name in names) + "]::name[]"


def _fill(sql, without):
    ours = _OURS.format(without=_array(without))
    return sql.format(ours=ours, not_of_extension_proc=_NOT_OF_EXTENSION.format(
        catalog="pg_proc", oid="p.oid"))


def _definitions(without):
    """One query of (kind, name, md5, beginning) over all definitions."""
    parts = [f"SELECT '{kind}' AS kind, name::text, definition::text FROM "
             f"({_fill(sql, without)}) AS x (name, definition)" for kind, sql in _DEFINITIONS.items()]
    return " UNION ALL ".join(parts)


def _relations(without):
    return _fill("SELECT CASE WHEN c.relkind = 'S' THEN 'sequence' ELSE 'rows' END, "
                 "c.oid::regclass::text, format('%I.%I', n.nspname, c.relname) FROM pg_class c "
                 "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'S') AND {ours}",
                 without)


_PRELUDE = "SET search_path = ''; SET extra_float_digits = 3; SET timezone = 'Asia/Jakarta'; "


def _quoted(text):
    return "'" + text.replace("'", "''") + "'"


def checksum(server, database, without=("kembar",)):
    """{(kind, name): text} of everything in the database but the schemas `without`."""
    found = {}
    sql = (f"{_PRELUDE} SELECT json_build_array(kind, name, definition) "
           f"FROM ({_definitions(without)}) AS all_of_them")
    for line in server.sql(database, sql).split("\n"):
        if line:
            kind, name, definition = json.loads(line)
            found[kind, name] = definition
    parts = []
    names = server.sql(database, f"{_PRELUDE} SELECT json_build_array(kind, name, quoted) FROM "
                                 f"({_relations(without)}) AS x (kind, name, quoted)")
    for line in names.split("\n"):
        if not line:
            continue
        kind, name, quoted = json.loads(line)
        if kind == "sequence":
            parts.append(f"SELECT 'sequence', {_quoted(name)}, concat_ws(' ', last_value, is_called) "
                         f"FROM {quoted}")
        else:
            parts.append(f"SELECT 'rows', {_quoted(name)}, concat_ws(' ', count(*), "
                         "md5(string_agg(md5(t::text), '' ORDER BY md5(t::text)))) "
                         f"FROM ONLY {quoted} AS t")
    if parts:
        sql = (f"{_PRELUDE} SELECT json_build_array(kind, name, value) FROM "
               f"({' UNION ALL '.join(parts)}) AS x (kind, name, value)")
        for line in server.sql(database, sql).split("\n"):
            kind, name, value = json.loads(line)
            found[kind, name] = value
    return found


def difference(one, other):
    """Lines that say where two checksums differ; empty when they are equal."""
    lines = []
    for key in sorted(set(one) | set(other)):
        if one.get(key) != other.get(key):
            lines.append(f"{key[0]} {key[1]}: {one.get(key, '(absent)')!r} / "
                         f"{other.get(key, '(absent)')!r}"[:400])
    return lines
