-- Every kind of column and of name that a PostgreSQL database may have, in one schema of odd spelling
-- and one of types. jenis.isi(n) inserts a batch of rows with its number: the test calls it before the
-- capture begins (first copy) and while it runs (stream).
CREATE SCHEMA jenis;
CREATE SCHEMA "Skema Aneh";
CREATE TYPE jenis.warna AS ENUM ('merah', 'kuning tua', 'hi"jau', 'bi''ru', '');
CREATE DOMAIN jenis.positif AS integer DEFAULT 7 CHECK (VALUE > 0);
CREATE DOMAIN jenis.daftar AS text[] NOT NULL DEFAULT '{}';
CREATE TYPE jenis.titik AS (x numeric, label text, warna jenis.warna);
CREATE TYPE jenis.rentang_waktu AS RANGE (subtype = time);

CREATE TABLE jenis.semua (
  id integer PRIMARY KEY, c_smallint smallint, c_integer integer, c_bigint bigint, c_numeric numeric,
  c_numeric_skala numeric(12, 3), c_numeric_minus numeric(5, -2), c_real real, c_double double precision,
  c_money money, c_boolean boolean, c_char1 "char", c_char character(7), c_varchar character varying(40),
  c_text text, c_name name, c_bytea bytea, c_bit bit(5), c_varbit bit varying, c_date date, c_time time,
  c_timetz timetz, c_timestamp timestamp, c_timestamptz timestamptz, c_timestamp0 timestamp(0),
  c_interval interval, c_interval_ym interval year to month, c_inet inet, c_cidr cidr, c_macaddr macaddr,
  c_macaddr8 macaddr8, c_uuid uuid, c_json json, c_jsonb jsonb, c_jsonpath jsonpath, c_xml xml,
  c_tsvector tsvector, c_tsquery tsquery, c_point point, c_line line, c_lseg lseg, c_box box, c_path path,
  c_polygon polygon, c_circle circle, c_int4range int4range, c_numrange numrange, c_tstzrange tstzrange,
  c_daterange daterange, c_int8multirange int8multirange, c_datemultirange datemultirange,
  c_rentang jenis.rentang_waktu, c_integers integer[], c_texts text[], c_numerics numeric[],
  c_jsonbs jsonb[], c_byteas bytea[], c_timestamptzs timestamptz[], c_enum jenis.warna,
  c_enums jenis.warna[], c_domain jenis.positif, c_daftar jenis.daftar, c_composite jenis.titik,
  c_composites jenis.titik[], c_oid oid, c_pg_lsn pg_lsn, c_snapshot pg_snapshot, c_tid tid, c_xid8 xid8,
  c_generated text GENERATED ALWAYS AS (c_text || '!') STORED,
  c_identity bigint GENERATED ALWAYS AS IDENTITY);

CREATE TABLE jenis.tanpa_kunci (a integer, b numeric, c text, d json);
CREATE TABLE "Skema Aneh"."Weird ""Table"" . name" (
  "KOLOM Besar" text, "a""b" text, "é ü" numeric, "select" integer, "titik.koma," text DEFAULT E'a\\''b',
  "%41/\" text, PRIMARY KEY ("a""b", "KOLOM Besar"));
CREATE UNIQUE INDEX "Indeks ""Aneh""" ON "Skema Aneh"."Weird ""Table"" . name" ("select", "KOLOM Besar");
-- Inheritance without partitions: a copy of the parent must not take the child's rows.
CREATE TABLE "Skema Aneh".induk (id integer PRIMARY KEY, t text);
CREATE TABLE "Skema Aneh".anak (lagi integer, PRIMARY KEY (id)) INHERITS ("Skema Aneh".induk);
-- Partitions of two levels, one attached whose columns came in another order, with one dropped.
CREATE TABLE "Skema Aneh".bagian (kode bigint, wilayah text, nilai text, PRIMARY KEY (wilayah, kode))
  PARTITION BY LIST (wilayah);
CREATE TABLE "Skema Aneh".bagian_utara PARTITION OF "Skema Aneh".bagian FOR VALUES IN ('utara')
  PARTITION BY HASH (kode);
CREATE TABLE "Skema Aneh".utara_0 PARTITION OF "Skema Aneh".bagian_utara FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Skema Aneh".utara_1 PARTITION OF "Skema Aneh".bagian_utara FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE "Skema Aneh".selatan (nilai text, buang integer, wilayah text NOT NULL, kode bigint NOT NULL);
ALTER TABLE "Skema Aneh".selatan DROP COLUMN buang;
ALTER TABLE "Skema Aneh".bagian ATTACH PARTITION "Skema Aneh".selatan FOR VALUES IN ('selatan');
CREATE TABLE "Skema Aneh".lain PARTITION OF "Skema Aneh".bagian DEFAULT;
CREATE TABLE "Skema Aneh".tanpa_kolom ();
-- Rows that refer to each other, checked at the end of the transaction only.
CREATE TABLE "Skema Aneh".lingkar (id integer PRIMARY KEY, lain integer NOT NULL
  REFERENCES "Skema Aneh".lingkar DEFERRABLE INITIALLY DEFERRED);
CREATE SEQUENCE "Skema Aneh"."Urutan ""Aneh""" AS smallint INCREMENT -3 START -1;
CREATE TABLE "Skema Aneh"."HITUNG" ("N" integer PRIMARY KEY DEFAULT nextval('"Skema Aneh"."Urutan ""Aneh"""'), waktu timestamptz);
-- A trigger that fires even when others are off, and one that is disabled.
CREATE FUNCTION "Skema Aneh".tandai() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.waktu := '2019-07-19 00:00+07'; RETURN NEW; END $$;
CREATE TRIGGER "Selalu" BEFORE INSERT ON "Skema Aneh"."HITUNG" FOR EACH ROW EXECUTE FUNCTION "Skema Aneh".tandai();
ALTER TABLE "Skema Aneh"."HITUNG" ENABLE ALWAYS TRIGGER "Selalu";
CREATE TRIGGER "Mati" BEFORE UPDATE ON "Skema Aneh"."HITUNG" FOR EACH ROW EXECUTE FUNCTION "Skema Aneh".tandai();
ALTER TABLE "Skema Aneh"."HITUNG" DISABLE TRIGGER "Mati";
INSERT INTO "Skema Aneh"."HITUNG" DEFAULT VALUES;
INSERT INTO "Skema Aneh"."HITUNG" DEFAULT VALUES;
UPDATE "Skema Aneh"."HITUNG" SET waktu = '2020-01-01 00:00+07' WHERE "N" = -1;
COMMENT ON TABLE "Skema Aneh"."HITUNG" IS E'catatan\nbaris ''dua''';
CREATE VIEW "Skema Aneh"."Pandangan" AS SELECT "a""b" AS "A B" FROM "Skema Aneh"."Weird ""Table"" . name";

CREATE FUNCTION jenis.isi(n integer) RETURNS void LANGUAGE sql AS $f$
  INSERT INTO jenis.semua (id, c_daftar) VALUES (n, '{}');  -- NULL everywhere
  INSERT INTO jenis.semua OVERRIDING USER VALUE VALUES (n + 1,
    -32768, -2147483648, -9223372036854775808, 'NaN', -0.001, -12300, 'NaN', '-Infinity', '-92233720368547758.08',
    false, '', '', '', '', '', '', B'00000', '', '-infinity', '00:00', '00:00+15:59', '-infinity', '-infinity',
    '0001-01-01 00:00:00 BC', '-178000000 years', '-1 mon', '0.0.0.0/0', '::/0', '00:00:00:00:00:00',
    '00:00:00:00:00:00:00:00', '00000000-0000-0000-0000-000000000000', '""', 'null', '$', '', '', '',
    '(-0,NaN)', '{1,0,0}', '[(0,0),(0,0)]', '((0,0),(0,0))', '[(0,0)]', '((0,0))', '<(0,0),0>', 'empty', '(,)',
    '(-infinity,infinity)', '[,2019-07-08)', '{}', '{(,)}', 'empty', '{}', '{}', '{NaN,Infinity,-Infinity}',
    '{}', '{}', '{-infinity}', '', '{""}', 1, '{NULL}', ROW(NULL, '', NULL), '{}', 0, '0/0', '1:1:', '(0,0)', '0',
    DEFAULT, 1);
  INSERT INTO jenis.semua OVERRIDING USER VALUE VALUES (n + 2,
    32767, 2147483647, 9223372036854775807, 'Infinity', 123456789.125, 99900, 1e-38, 1.7976931348623157e308,
    '92233720368547758.07', true, '\x80', 'a  b', E'tab\t \\N \\. \\', E'\\N\n\r\t\\\b\f\x01 é 漢字 🚧 ''"', 'Nama',
    '\x00ff5c0a0d09275c', B'10101', B'1', 'infinity', '24:00', '23:59:59.5-15:59', 'infinity', 'infinity',
    '294276-12-31 23:59:59', '1 year -2 mons +3 days -04:05:06.789012', '178000000 years', '10.1.2.3/8',
    '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    E'{"b" :  1,\n"b": 2.50, "\\u0000": "tidak"}', '{"a": [1.10, 1e2, null, {"ü": "\"\\"}]}', '$."a"[*] ? (@ > 1)',
    '<a b="1">&lt;é&#13;</a>', '''a b'':1A,2B ''c'':3', '''a'' <2> ''b'' & !''c''', '(1.5,-2.25)', '{1,-1,0.5}',
    '[(0,1),(2,3)]', '(3,4),(1,2)', '((0,0),(1,1),(2,0))', '((0,0),(1,1),(2,0))', '<(1,2),3.5>', '[1,10)',
    '(1.5,NaN]', '["2019-07-08 00:00+07","2019-07-19 23:59+07"]', '[2019-07-08,2019-07-20)', '{[1,3),[5,9)}',
    '{[2019-01-01,2019-02-01),[2019-03-01,)}', '[08:00,15:59:59.5)', '[0:2]={1,NULL,3}',
    E'{{"a,b","c\\"d"},{"","NULL"}}', '{1.10,0.00,NULL}', E'{"{\\"a\\": \\"\\\\\\\\\\"}",NULL}', E'{"\\\\x00ff","\\\\x"}',
    '{infinity,"2019-07-08 08:00:00.123456+07"}', 'hi"jau', E'{"kuning tua","hi\\"jau",bi''ru,NULL}', 2147483647,
    '{{a,b},{c,d}}', ROW(1.50, 'koma, "kutip" \ (kurung)', 'bi''ru'), ARRAY[ROW(NULL, NULL, 'merah')::jenis.titik, NULL],
    4294967295, 'FFFFFFFF/FFFFFFFF', '10:20:10,14,15', '(4294967295,65535)', '18446744073709551615', DEFAULT, 1);
  INSERT INTO jenis.semua (id, c_text, c_bytea, c_jsonb, c_daftar)  -- big enough to be stored outside of the row
    SELECT n + 3, string_agg(md5(i::text), ''), decode(string_agg(md5((-i)::text), ''), 'hex'),
      jsonb_build_object('besar', string_agg(md5((i * 3)::text), '')), '{}' FROM generate_series(1, 3000) AS i;
  INSERT INTO jenis.tanpa_kunci SELECT x, CASE WHEN x % 2 = 0 THEN 'NaN' ELSE 1.50 END, NULL, '{"b":1,  "a": 2}'
    FROM generate_series(1, 3) AS x, generate_series(1, 4);
  INSERT INTO "Skema Aneh"."Weird ""Table"" . name" ("KOLOM Besar", "a""b", "é ü", "select", "titik.koma,", "%41/\")
    VALUES (n || '/a%b.c:d+e f~', 'A', 1.50, NULL, '', E'\\'), (n || '', '', NULL, n, NULL, 'x'), ('' || n, '~', 2, 0, 'b', ''),
    (n || repeat('é', 1500), '/N', 0, -1, E'\n', '%');
  INSERT INTO "Skema Aneh".induk VALUES (n, 'induk');
  INSERT INTO "Skema Aneh".anak VALUES (n + 1, 'anak', n);
  INSERT INTO "Skema Aneh".bagian (kode, nilai, wilayah) SELECT n * 1000 + i, 'n' || i, (ARRAY['utara', 'selatan', 'lain'])[1 + i % 3]
    FROM generate_series(1, 30) AS i;
  INSERT INTO "Skema Aneh".tanpa_kolom DEFAULT VALUES;
  INSERT INTO "Skema Aneh".lingkar VALUES (n + 1, n + 2), (n + 2, n + 1);
$f$;
