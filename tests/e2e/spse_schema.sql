-- A database like SPSE's epns_prod for tests: the publicly known names of tables and columns, with
-- relations, types and habits of our own in their spirit (../../../shared/data/README.md says which
-- names are public). Keys are numeric as they are there; ids end in the LPSE's three digits.
CREATE SCHEMA ekontrak;

CREATE TYPE public.jenis_aktivitas AS ENUM (
  'PENGUMUMAN_LELANG', 'AMBIL_DOKUMEN', 'PENJELASAN', 'PEMASUKAN_PENAWARAN', 'PEMBUKAAN_PENAWARAN',
  'EVALUASI_PENAWARAN', 'VERIFIKASI_KUALIFIKASI', 'PENETAPAN_PEMENANG_AKHIR',
  'PENGUMUMAN_PEMENANG_AKHIR', 'SANGGAH', 'PENUNJUKAN_PEMENANG', 'TANDATANGAN_KONTRAK');
CREATE TYPE public.jabatan_panitia AS ENUM ('K', 'S', 'A');
CREATE DOMAIN public.rupiah AS numeric(20, 2) CONSTRAINT tidak_minus CHECK (VALUE >= 0);
CREATE DOMAIN public.npwp AS text CHECK (VALUE ~ '^[0-9.-]{15,20}$');
CREATE TYPE public.alamat AS (jalan text, kelurahan text, kode_pos character(5));

CREATE SEQUENCE public.seq_paket START 1000 INCREMENT 5 CACHE 10;
CREATE SEQUENCE ekontrak.seq_spk AS integer MINVALUE -5 MAXVALUE 2000000 CYCLE;

-- reference data -----------------------------------------------------------------------------

CREATE TABLE public.kategori (kgr_id numeric PRIMARY KEY, keterangan text NOT NULL);
CREATE TABLE public.tahapan (thp_id numeric PRIMARY KEY, thp_name text);
CREATE TABLE public.aktivitas (
  akt_id numeric PRIMARY KEY, akt_jenis public.jenis_aktivitas NOT NULL, akt_urut smallint,
  akt_status boolean DEFAULT true);
CREATE TABLE public.satuan_kerja (
  stk_id numeric PRIMARY KEY, stk_kode text UNIQUE, stk_nama text NOT NULL,
  stk_induk numeric REFERENCES public.satuan_kerja (stk_id) ON UPDATE CASCADE);
CREATE TABLE public.ukpbj (ukpbj_id numeric PRIMARY KEY, nama text NOT NULL);
CREATE TABLE public.paket_sirup (
  id numeric PRIMARY KEY, tahun integer NOT NULL, nama text, pagu public.rupiah, sumber_dana text[],
  auditupdate timestamp DEFAULT now());
CREATE TABLE public.pegawai (
  peg_id numeric PRIMARY KEY, peg_nip character varying(18), peg_nama text NOT NULL,
  peg_namauser text UNIQUE, passw bytea, masuk_terakhir inet, jam_kerja tstzrange);
CREATE TABLE public.panitia (
  pnt_id numeric PRIMARY KEY, pnt_nama text, ukpbj_id numeric REFERENCES public.ukpbj,
  auditupdate timestamp);
CREATE TABLE public.anggota_panitia (
  pnt_id numeric REFERENCES public.panitia, peg_id numeric REFERENCES public.pegawai,
  agp_jabatan public.jabatan_panitia NOT NULL DEFAULT 'A', PRIMARY KEY (pnt_id, peg_id));
CREATE TABLE public.rekanan (
  rkn_id numeric PRIMARY KEY, rkn_nama text NOT NULL, rkn_npwp public.npwp, rkn_alamat public.alamat,
  rkn_kontak jsonb, rkn_tawaran integer NOT NULL DEFAULT 0, rkn_saldo_uji double precision);
CREATE TABLE public.konfigurasi (
  cfg_category text, cfg_sub_category text, cfg_value text, PRIMARY KEY (cfg_category, cfg_sub_category));

-- package and tender -------------------------------------------------------------------------

CREATE TABLE public.paket (
  pkt_id numeric PRIMARY KEY, pkt_nama text NOT NULL, pkt_pagu public.rupiah, pkt_hps public.rupiah,
  pkt_sisa numeric(20, 2) GENERATED ALWAYS AS (pkt_pagu - pkt_hps) STORED,
  pkt_status smallint NOT NULL DEFAULT 0, pkt_tgl_buat timestamptz NOT NULL DEFAULT now(),
  kgr_id numeric REFERENCES public.kategori, ukpbj_id numeric REFERENCES public.ukpbj,
  pnt_id numeric REFERENCES public.panitia, pkt_uraian text, pkt_atribut jsonb,
  audituser text, auditupdate timestamp DEFAULT now(), CHECK (pkt_hps <= pkt_pagu));
CREATE TABLE public.paket_satker (
  pkt_id numeric REFERENCES public.paket ON UPDATE CASCADE ON DELETE CASCADE,
  stk_id numeric REFERENCES public.satuan_kerja ON UPDATE CASCADE,
  rup_id numeric REFERENCES public.paket_sirup, PRIMARY KEY (pkt_id, stk_id, rup_id));
CREATE TABLE public.lelang_seleksi (
  lls_id numeric PRIMARY KEY,
  pkt_id numeric NOT NULL REFERENCES public.paket ON UPDATE CASCADE ON DELETE CASCADE,
  lls_versi_lelang integer NOT NULL DEFAULT 1, lls_status smallint NOT NULL DEFAULT 0,
  lls_penawaran_ulang integer DEFAULT 0, lls_evaluasi_ulang integer DEFAULT 0,
  lls_diulang_karena text, lls_tgl_setuju timestamp, mtd_pemilihan smallint,
  lls_sebelumnya numeric REFERENCES public.lelang_seleksi ON UPDATE CASCADE ON DELETE CASCADE,
  auditupdate timestamp DEFAULT now(), UNIQUE (pkt_id, lls_versi_lelang));
CREATE TABLE public.jadwal (
  dtj_id bigserial PRIMARY KEY,
  lls_id numeric NOT NULL REFERENCES public.lelang_seleksi ON UPDATE CASCADE ON DELETE CASCADE,
  thp_id numeric REFERENCES public.tahapan, akt_id numeric REFERENCES public.aktivitas,
  dtj_tglawal timestamp, dtj_tglakhir timestamp, dtj_keterangan text,
  auditupdate timestamp DEFAULT now(), UNIQUE (lls_id, thp_id), CHECK (dtj_tglawal <= dtj_tglakhir));
CREATE TABLE public.jadwal_riwayat (
  rwy_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lls_id numeric NOT NULL, dtj_id bigint NOT NULL,
  lama tsrange, baru tsrange, alasan text);
CREATE TABLE public.content (
  ctn_id_content numeric, ctn_versi integer, pkt_id numeric NOT NULL
    REFERENCES public.paket ON UPDATE CASCADE ON DELETE CASCADE,
  blb_date_time timestamp DEFAULT now(), blb_path jsonb NOT NULL, blb_ukuran bigint, blb_hash bytea,
  PRIMARY KEY (ctn_id_content, ctn_versi));

-- participants, bids, evaluation, objections -------------------------------------------------

CREATE TABLE public.peserta (
  psr_id numeric PRIMARY KEY,
  lls_id numeric NOT NULL REFERENCES public.lelang_seleksi ON UPDATE CASCADE ON DELETE CASCADE,
  rkn_id numeric NOT NULL REFERENCES public.rekanan, psr_harga numeric(20, 2),
  psr_harga_terkoreksi numeric(20, 2), is_pemenang boolean, auditupdate timestamp DEFAULT now(),
  UNIQUE (lls_id, rkn_id));
CREATE TABLE public.dok_penawaran (
  dok_id numeric PRIMARY KEY,
  psr_id numeric NOT NULL REFERENCES public.peserta ON UPDATE CASCADE ON DELETE CASCADE,
  dok_jenis smallint, dok_tgljam timestamptz, dok_isi bytea, dok_id_attachment numeric,
  dok_disclaim bit varying(8), dok_segel uuid DEFAULT gen_random_uuid());
CREATE TABLE public.evaluasi (
  eva_id numeric PRIMARY KEY,
  lls_id numeric NOT NULL REFERENCES public.lelang_seleksi ON UPDATE CASCADE ON DELETE CASCADE,
  eva_jenis smallint NOT NULL, eva_versi integer NOT NULL, eva_status smallint, eva_tgl_setuju timestamp,
  UNIQUE (lls_id, eva_jenis, eva_versi));
CREATE TABLE public.nilai_evaluasi (
  nev_id numeric PRIMARY KEY, eva_id numeric NOT NULL REFERENCES public.evaluasi ON DELETE CASCADE,
  psr_id numeric NOT NULL REFERENCES public.peserta ON UPDATE CASCADE ON DELETE CASCADE,
  nev_lulus smallint, nev_urutan smallint, nev_harga numeric(20, 2), nev_skor numeric, nev_uraian text,
  nev_dkh jsonb);
CREATE TABLE public.sanggah (
  sgh_id serial PRIMARY KEY,
  psr_id numeric NOT NULL REFERENCES public.peserta ON UPDATE CASCADE ON DELETE CASCADE,
  sgh_induk integer REFERENCES public.sanggah ON DELETE CASCADE, sgh_isi text NOT NULL,
  sgh_lampiran text[], dikirim timestamptz DEFAULT now());
CREATE TABLE public.berita_acara (
  brc_id integer GENERATED BY DEFAULT AS IDENTITY (START 500) PRIMARY KEY,
  lls_id numeric NOT NULL REFERENCES public.lelang_seleksi ON UPDATE CASCADE ON DELETE CASCADE,
  brc_jenis_ba text, brc_isi text, brc_tanggal date);
CREATE TABLE public.sppbj (
  sppbj_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lls_id numeric NOT NULL REFERENCES public.lelang_seleksi ON UPDATE CASCADE ON DELETE CASCADE,
  psr_id numeric NOT NULL REFERENCES public.peserta ON UPDATE CASCADE ON DELETE CASCADE,
  sppbj_no text UNIQUE, sppbj_nilai public.rupiah);
CREATE TABLE public.kontrak (
  kontrak_id numeric PRIMARY KEY,
  lls_id numeric NOT NULL REFERENCES public.lelang_seleksi ON UPDATE CASCADE ON DELETE CASCADE,
  kontrak_no text, kontrak_nilai public.rupiah, kontrak_mulai date, kontrak_akhir date,
  masa daterange GENERATED ALWAYS AS (daterange(kontrak_mulai, kontrak_akhir, '[]')) STORED,
  tanda_tangan bytea);

-- contracts' life, and what is bought without a tender -----------------------------------------

CREATE TABLE ekontrak.pembayaran (
  kontrak_id numeric REFERENCES public.kontrak ON UPDATE CASCADE ON DELETE CASCADE, termin smallint,
  nilai public.rupiah, dibayar timestamptz, PRIMARY KEY (kontrak_id, termin));
CREATE TABLE ekontrak.adendum (
  adendum_id uuid PRIMARY KEY,
  kontrak_id numeric NOT NULL REFERENCES public.kontrak ON UPDATE CASCADE ON DELETE CASCADE,
  versi_addendum smallint, perpanjangan interval, uraian xml);
CREATE TABLE ekontrak.paket (
  pkt_id numeric PRIMARY KEY, pkt_nama text, pkt_pagu numeric(20, 2), kgr_id numeric
    REFERENCES public.kategori, pkt_status smallint, audituser text);
CREATE TABLE ekontrak.paket_satker (
  pkt_id numeric REFERENCES ekontrak.paket ON UPDATE CASCADE ON DELETE CASCADE,
  stk_id numeric REFERENCES public.satuan_kerja ON UPDATE CASCADE, rup_id numeric,
  PRIMARY KEY (pkt_id, stk_id));
CREATE TABLE ekontrak.nonlelang_seleksi (
  lls_id numeric PRIMARY KEY,
  pkt_id numeric NOT NULL REFERENCES ekontrak.paket ON UPDATE CASCADE ON DELETE CASCADE,
  lls_status smallint DEFAULT 0, undangan timestamptz);
CREATE TABLE ekontrak.peserta_nonlelang (
  psr_id numeric PRIMARY KEY,
  lls_id numeric NOT NULL REFERENCES ekontrak.nonlelang_seleksi ON UPDATE CASCADE ON DELETE CASCADE,
  rkn_id numeric REFERENCES public.rekanan, psr_harga numeric(20, 2));
CREATE TABLE ekontrak.spk (
  spk_id integer PRIMARY KEY DEFAULT nextval('ekontrak.seq_spk'),
  lls_id numeric NOT NULL REFERENCES ekontrak.nonlelang_seleksi ON UPDATE CASCADE ON DELETE CASCADE,
  spk_nilai public.rupiah, spk_content json);

-- trails -----------------------------------------------------------------------------------------

-- No key, as old tables have none: equal rows happen and count.
CREATE TABLE public.jejak_audit (waktu timestamp, pelaku text, aksi text, objek text, rincian jsonb);
CREATE TABLE public.log_aktivitas (
  log_id bigint, tanggal date NOT NULL, pkt_id numeric, kegiatan text, alamat_ip inet,
  PRIMARY KEY (log_id, tanggal)) PARTITION BY RANGE (tanggal);
CREATE TABLE public.log_aktivitas_2018 PARTITION OF public.log_aktivitas
  FOR VALUES FROM ('2018-01-01') TO ('2019-01-01');
CREATE TABLE public.log_aktivitas_2019 PARTITION OF public.log_aktivitas
  FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');
CREATE TABLE public.log_aktivitas_lain PARTITION OF public.log_aktivitas DEFAULT;
-- Work space that is emptied from time to time.
CREATE TABLE public.coretan (id bigserial PRIMARY KEY, isi text);
-- What each client of a test did, one number a transaction: see spse_workload.py.
CREATE TABLE public.klien_log (nomor bigint PRIMARY KEY, klien text NOT NULL, isi text);

CREATE INDEX paket_nama ON public.paket (lower(pkt_nama));
CREATE INDEX paket_atribut ON public.paket USING gin (pkt_atribut);
CREATE INDEX lelang_aktif ON public.lelang_seleksi (pkt_id) WHERE lls_status = 1;
CREATE INDEX peserta_lelang ON public.peserta (lls_id);
CREATE INDEX dok_peserta ON public.dok_penawaran (psr_id) INCLUDE (dok_jenis);
CREATE INDEX nilai_evaluasi_eva ON public.nilai_evaluasi (eva_id);
CREATE INDEX nilai_evaluasi_psr ON public.nilai_evaluasi (psr_id);
CREATE INDEX content_paket ON public.content (pkt_id);
CREATE INDEX log_paket ON public.log_aktivitas (pkt_id);
CREATE INDEX audit_objek ON public.jejak_audit (objek);

-- Both write rows by themselves; a restore must not let them write again.
CREATE FUNCTION public.catat_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.jejak_audit VALUES (localtimestamp(0), current_user, tg_op,
    tg_table_name || '/' || coalesce(NEW.pkt_id, OLD.pkt_id), jsonb_build_object('status',
    CASE WHEN tg_op = 'DELETE' THEN OLD.pkt_status ELSE NEW.pkt_status END));
  RETURN NULL;
END $$;
CREATE TRIGGER audit_paket AFTER INSERT OR UPDATE OR DELETE ON public.paket
  FOR EACH ROW EXECUTE FUNCTION public.catat_audit();
CREATE FUNCTION public.catat_jadwal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.jadwal_riwayat (lls_id, dtj_id, lama, baru, alasan) VALUES (NEW.lls_id, NEW.dtj_id,
    tsrange(OLD.dtj_tglawal, OLD.dtj_tglakhir), tsrange(NEW.dtj_tglawal, NEW.dtj_tglakhir),
    NEW.dtj_keterangan);
  RETURN NEW;
END $$;
CREATE TRIGGER riwayat_jadwal BEFORE UPDATE OF dtj_tglawal, dtj_tglakhir ON public.jadwal
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.catat_jadwal();
CREATE FUNCTION public.tahap_now(lls numeric, saat timestamp) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT string_agg(t.thp_name, ', ' ORDER BY t.thp_id) FROM public.jadwal j
  JOIN public.tahapan t USING (thp_id) WHERE j.lls_id = lls AND saat BETWEEN dtj_tglawal AND dtj_tglakhir
$$;
CREATE VIEW public.tender_aktif AS
  SELECT p.pkt_id, p.pkt_nama, l.lls_id, count(s.psr_id) AS peserta, sum(s.psr_harga) AS jumlah
  FROM public.paket p JOIN public.lelang_seleksi l USING (pkt_id)
  LEFT JOIN public.peserta s USING (lls_id) WHERE l.lls_status = 1 GROUP BY p.pkt_id, l.lls_id;
COMMENT ON TABLE public.paket IS 'Paket pengadaan: "tender" & seleksi';
COMMENT ON COLUMN public.lelang_seleksi.lls_id IS 'kode tender';

-- rows that everything refers to ---------------------------------------------------------------

INSERT INTO public.kategori VALUES (0, 'Barang'), (1, 'Jasa Konsultansi Badan Usaha'), (2, 'Konstruksi'),
  (3, 'Jasa Lainnya'), (4, 'Konsultansi Perorangan'), (5, 'Konsultansi Badan Usaha Konstruksi');
INSERT INTO public.tahapan VALUES (18807, 'Pengumuman Pascakualifikasi'), (18777, 'Download Dokumen Pemilihan'),
  (18812, 'Pemberian Penjelasan'), (18833, 'Upload Dokumen Penawaran'), (18798, 'Pembukaan Dokumen Penawaran'),
  (18843, NULL), (18802, 'Pembuktian Kualifikasi'), (18804, 'Penetapan Pemenang'),
  (18810, 'Pengumuman Pemenang'), (18789, 'Masa Sanggah'),
  (18817, 'Surat Penunjukan Penyedia Barang/Jasa'), (18803, 'Penandatanganan Kontrak');
INSERT INTO public.aktivitas SELECT 290 + row, jenis, row FROM
  unnest(enum_range(NULL::public.jenis_aktivitas)) WITH ORDINALITY AS x (jenis, row);
INSERT INTO public.satuan_kerja SELECT 100 + n, '1.0' || n || '.0.00', 'Dinas ' || n,
  CASE WHEN n > 3 THEN 100 + n / 3 END FROM generate_series(1, 30) AS n;
INSERT INTO public.ukpbj VALUES (1, 'UKPBJ Kabupaten Tebo'), (2, 'UKPBJ Provinsi');
INSERT INTO public.pegawai SELECT n, repeat(n::text, 18)::varchar(18), 'Pejabat ' || n, 'user' || n,
  decode(md5(n::text), 'hex'), '10.0.0.0'::inet + n,
  tstzrange('2019-07-01 08:00+07', CASE WHEN n % 2 = 0 THEN NULL::timestamptz ELSE 'infinity' END)
  FROM generate_series(1, 9) AS n;
INSERT INTO public.panitia SELECT n, 'Pokja ' || n, 1 + n % 2, NULL FROM generate_series(1, 4) AS n;
INSERT INTO public.anggota_panitia SELECT p, 1 + (p * 2 + m) % 9, ('{K,S,A}'::public.jabatan_panitia[])[m + 1]
  FROM generate_series(1, 4) AS p, generate_series(0, 2) AS m;
INSERT INTO public.rekanan SELECT n, 'CV Rimbo "Jaya" ' || n, '01.671.196.2-421.' || lpad(n::text, 3, '0'),
  ROW('Jl. Lintas, ' || n, CASE WHEN n % 3 > 0 THEN E'Muara "Tebo"\\' END, '37571')::public.alamat,
  jsonb_build_object('telp', '0744-' || n, 'email', NULL), 0, CASE WHEN n % 7 = 0 THEN 'NaN' ELSE 1.0 / n END
  FROM generate_series(1, 200) AS n;
INSERT INTO public.konfigurasi VALUES ('CONFIG', 'instansi.id', '1509'), ('CONFIG', 'kosong', ''),
  ('CONFIG', 'tidak ada', NULL), ('a/b', 'c%d:é', E'baris satu\r\nbaris dua\ttab'), ('', '~', 'kunci aneh');
SELECT setval('public.seq_paket', 2005);
