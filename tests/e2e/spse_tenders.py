"""Whole tenders as SQL: tender(n, rng) gives one list of statements a stage, from the plan to the last
payment, for the database of spse_schema.sql. What happens on the way is chosen by `rng`: objections,
evaluations made again, tenders repeated or cancelled, keys that change, schedules that move.
"""
LPSE = 509  # the last three digits of each id
STAGES = [18807, 18777, 18812, 18833, 18798, 18843, 18802, 18804, 18810, 18789, 18817, 18803]
WORDS = ("Pembangunan Rehabilitasi Peningkatan Jalan Jembatan Gedung Puskesmas Irigasi Drainase Pengadaan "
         "Alat Berat Konsultansi Pengawasan Rimbo Bujang Tebo Ulu Sumay Muara Tabir Serai").split()
NEVER = {"package_keys": 0.0, "tender_keys": 0.0, "cancel": 0.0}
USUAL = {"package_keys": 0.05, "tender_keys": 0.1, "cancel": 0.08}


def package_id(n):
    return (10_000_000 + n) * 1000 + LPSE


def quoted(text):
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def big_text(rng, low=3_000, high=12_000):
    """Long enough, and too random to compress, for PostgreSQL to store it outside of the row."""
    return "<p>Uraian & syarat</p>\r\n" + rng.randbytes(rng.randrange(low, high) // 2).hex()


def name(rng):
    return " ".join(rng.sample(WORDS, 4)) + rng.choice(["", " Tahap II", "  (lanjutan)", " – “Mandiri”",
                                                        " 'A'\\B\tC", "\r\nKec. Sumay"])


def tender(n, rng, chances=None):
    """The stages of package number n. Every fifth is bought without a tender."""
    chances = {**USUAL, **(chances or {})}
    return (_Direct(n, rng) if n % 5 == 0 else _Tender(n, rng, chances)).stages()


class _Tender:
    def __init__(self, n, rng, chances):
        self.n, self.rng, self.chances = n, rng, chances
        self.pkt, self.version = package_id(n), 0
        self.lls = None
        self.bidders, self.all_bidders, self.next_id = [], [], n * 1000
        self.winner = None

    def stages(self):
        rng = self.rng
        yield self.plan()
        yield self.package()
        again = True
        while again:
            yield self.announce()
            yield self.move_schedule()
            yield self.participants()
            for psr, rkn in self.bidders:
                yield self.bid(psr, rkn)
            if rng.random() < self.chances["cancel"]:
                yield self.cancel()
                return
            yield self.evaluate()
            if rng.random() < 0.15:
                yield self.evaluate_again()
            again = self.version < 3 and rng.random() < 0.1
            if again:
                yield [f"UPDATE lelang_seleksi SET lls_status = 2, lls_diulang_karena = 'harga di atas HPS' "
                       f"WHERE lls_id = {self.lls}"]
        if rng.random() < 0.4:
            yield self.object()
        if rng.random() < self.chances["tender_keys"]:
            yield self.change_tender_key()
        yield self.award()
        yield self.contract()
        if rng.random() < self.chances["package_keys"]:
            yield self.change_package_key()
        yield self.pay()
        yield self.trail_ends()

    def new_id(self):
        self.next_id += 1
        return self.next_id * 1000 + LPSE

    def activity(self, what):
        day = self.rng.choice(["2018-12-30", "2019-07-08", "2019-07-19", "2020-02-29"])
        return (f"INSERT INTO log_aktivitas VALUES ({self.new_id()}, '{day}', {self.pkt}, {quoted(what)}, "
                f"'10.{self.rng.randrange(256)}.0.{self.rng.randrange(256)}')")

    def content(self, what):
        path = f'{{"name": "{what}.pdf", "ext": "pdf", "filepath": "/home/file/file_prod/{self.pkt}/{what}"}}'
        ident = self.new_id()
        return ident, (f"INSERT INTO content VALUES ({ident}, 1, {self.pkt}, now(), {quoted(path)}, "
                       f"{self.rng.randrange(800_000_000)}, '\\x{self.rng.randbytes(32).hex()}')")

    def plan(self):
        pagu = self.rng.randrange(50_000_000, 900_000_000)
        self.pagu = pagu
        return [f"INSERT INTO paket_sirup VALUES ({self.n}, 2019, {quoted(name(self.rng))}, {pagu}, "
                f"'{{APBD,\"DAK, fisik\",NULL}}')"]

    def package(self):
        rng = self.rng
        hps = self.pagu * rng.randrange(900, 1000) // 1000
        satkers = rng.sample(range(101, 131), rng.randrange(1, 4))
        uraian = big_text(rng) if rng.random() < 0.5 else rng.choice(["", None, "singkat"])
        return [
            f"INSERT INTO paket (pkt_id, pkt_nama, pkt_pagu, pkt_hps, kgr_id, ukpbj_id, pnt_id, pkt_uraian, "
            f"pkt_atribut, audituser) VALUES ({self.pkt}, {quoted(name(rng))}, {self.pagu}, {hps}.78, "
            f"{rng.randrange(6)}, {rng.randrange(1, 3)}, {rng.randrange(1, 5)}, {quoted(uraian)}, "
            f"'{{\"b\": [1, 2.50, null], \"a\": \"\\u00e9\\\"\"}}', 'ppk')",
            "INSERT INTO paket_satker VALUES " + ", ".join(f"({self.pkt}, {stk}, {self.n})" for stk in satkers),
            self.content("kak")[1], self.content("hps")[1], self.activity("paket dibuat"),
            "SELECT nextval('seq_paket')"]

    def announce(self):
        before, self.version = self.lls, self.version + 1
        self.lls = self.new_id()
        days = self.rng.randrange(1, 20)
        rows = [f"({self.lls}, {thp}, {291 + k}, timestamp '2019-07-01 08:00' + interval '{days + 2 * k} days', "
                f"timestamp '2019-07-03 15:59:59.123456' + interval '{days + 2 * k} days')"
                for k, thp in enumerate(STAGES)]
        return [
            f"INSERT INTO lelang_seleksi (lls_id, pkt_id, lls_versi_lelang, lls_status, mtd_pemilihan, "
            f"lls_sebelumnya, lls_tgl_setuju) VALUES ({self.lls}, {self.pkt}, {self.version}, 1, 15, "
            f"{before or 'NULL'}, now())",
            "INSERT INTO jadwal (lls_id, thp_id, akt_id, dtj_tglawal, dtj_tglakhir) VALUES " + ", ".join(rows),
            f"UPDATE paket SET pkt_status = 1, auditupdate = now() WHERE pkt_id = {self.pkt}",
            self.activity("tayang")]

    def move_schedule(self):
        stages = ", ".join(str(thp) for thp in self.rng.sample(STAGES, 3))
        return [f"UPDATE jadwal SET dtj_tglakhir = dtj_tglakhir + interval '{self.rng.randrange(1, 9)} days', "
                f"dtj_keterangan = 'gangguan LPSE', auditupdate = now() WHERE lls_id = {self.lls} "
                f"AND thp_id IN ({stages})"]

    def participants(self):
        firms = self.rng.sample(range(1, 201), self.rng.randrange(3, 9))
        self.all_bidders = [(self.new_id(), rkn) for rkn in firms]
        self.bidders = self.all_bidders[:self.rng.randrange(1, 4)]
        return ["INSERT INTO peserta (psr_id, lls_id, rkn_id) VALUES " +
                ", ".join(f"({psr}, {self.lls}, {rkn})" for psr, rkn in self.all_bidders),
                self.activity("pendaftaran")]

    def bid(self, psr, rkn):
        rng, sql = self.rng, []
        for kind in range(3):
            attachment, insert = self.content(f"penawaran-{psr}-{kind}")
            sealed = rng.randbytes(rng.choice([0, 3, 200, 4000])).hex()
            sql += [insert, f"INSERT INTO dok_penawaran VALUES ({self.new_id()}, {psr}, {kind}, clock_timestamp(), "
                            f"'\\x{sealed}', {attachment}, B'1{rng.randrange(4):02b}')"]
        price = rng.randrange(40_000_000, self.pagu + 1)
        return sql + [f"UPDATE peserta SET psr_harga = {price}.05, auditupdate = now() WHERE psr_id = {psr}",
                      f"UPDATE rekanan SET rkn_tawaran = rkn_tawaran + 1 WHERE rkn_id = {rkn}"]

    def evaluate(self, version=1):
        sql = []
        for kind in range(5):
            eva = self.new_id()
            sql.append(f"INSERT INTO evaluasi VALUES ({eva}, {self.lls}, {kind}, {version}, 1, now())")
            rows = [f"({self.new_id()}, {eva}, {psr}, 1, {place}, NULL, {self.rng.random() * 100!r}, "
                    f"{quoted(self.rng.choice([None, '', 'lengkap']))}, '[{{\"nilai\": 1e3}}]')"
                    for place, (psr, _) in enumerate(self.bidders, 1)]
            sql.append("INSERT INTO nilai_evaluasi VALUES " + ", ".join(rows))
        self.winner = self.rng.choice(self.bidders)[0]
        return sql + [f"INSERT INTO berita_acara (lls_id, brc_jenis_ba, brc_isi, brc_tanggal) VALUES "
                      f"({self.lls}, 'BAHP', {quoted(big_text(self.rng))}, '2019-07-19')"]

    def evaluate_again(self):
        return [f"DELETE FROM nilai_evaluasi USING evaluasi e WHERE e.eva_id = nilai_evaluasi.eva_id AND "
                f"e.lls_id = {self.lls} AND eva_jenis >= 2",
                f"UPDATE berita_acara SET brc_tanggal = NULL WHERE lls_id = {self.lls}",
                f"UPDATE lelang_seleksi SET lls_evaluasi_ulang = lls_evaluasi_ulang + 1 WHERE lls_id = {self.lls}",
                ] + self.evaluate(2)

    def object(self):
        psr = self.rng.choice(self.all_bidders)[0]
        return [f"INSERT INTO sanggah (psr_id, sgh_isi, sgh_lampiran) VALUES ({psr}, "
                f"{quoted(big_text(self.rng, 100, 5_000))}, '{{surat.pdf,\"a b\"}}')",
                f"INSERT INTO sanggah (psr_id, sgh_induk, sgh_isi) SELECT psr_id, sgh_id, 'tidak diterima' "
                f"FROM sanggah WHERE psr_id = {psr} AND sgh_induk IS NULL LIMIT 1"]

    def change_tender_key(self):
        old, self.lls = self.lls, self.new_id()
        return [f"UPDATE lelang_seleksi SET lls_id = {self.lls} WHERE lls_id = {old}"]

    def change_package_key(self):
        old, self.pkt = self.pkt, self.pkt + 50_000_000_000
        return [f"UPDATE paket SET pkt_id = {self.pkt} WHERE pkt_id = {old}"]

    def award(self):
        return [f"UPDATE peserta SET is_pemenang = (psr_id = {self.winner}), psr_harga_terkoreksi = psr_harga "
                f"WHERE lls_id = {self.lls}",
                f"INSERT INTO sppbj (lls_id, psr_id, sppbj_no, sppbj_nilai) VALUES ({self.lls}, {self.winner}, "
                f"'602.1/{self.n}/SPPBJ/2019', {self.pagu // 2})",
                self.activity("penetapan")]

    def contract(self):
        self.kontrak = self.new_id()
        return [f"INSERT INTO kontrak (kontrak_id, lls_id, kontrak_no, kontrak_nilai, kontrak_mulai, kontrak_akhir, "
                f"tanda_tangan) VALUES ({self.kontrak}, {self.lls}, NULL, {self.pagu // 2}, '2019-08-01', "
                f"{self.rng.choice(['NULL', quoted('2019-12-20')])}, '\\x{self.rng.randbytes(2500).hex()}')",
                f"UPDATE kontrak SET kontrak_no = '602/{self.n}' WHERE kontrak_id = {self.kontrak}",
                f"INSERT INTO ekontrak.adendum VALUES (gen_random_uuid(), {self.kontrak}, 1, '1 mon 3 days 04:05:06', "
                "'<adendum alasan=\"hujan &amp; banjir\">14 hari</adendum>')"]

    def pay(self):
        return [f"INSERT INTO ekontrak.pembayaran SELECT {self.kontrak}, n, {self.pagu // 6}, NULL "
                "FROM generate_series(1, 3) AS n",
                f"UPDATE ekontrak.pembayaran SET dibayar = now() WHERE kontrak_id = {self.kontrak} AND termin < 3",
                f"UPDATE ekontrak.pembayaran SET termin = 9 WHERE kontrak_id = {self.kontrak} AND termin = 3"]

    def trail_ends(self):
        return [
            # One of several equal rows of a table without key.
            f"DELETE FROM jejak_audit WHERE ctid = (SELECT ctid FROM jejak_audit "
            f"WHERE objek = 'paket/{self.pkt}' LIMIT 1)",
            # Equal rows on purpose.
            f"INSERT INTO jejak_audit SELECT '2019-07-19', NULL, '', 'paket/{self.pkt}', 'null' "
            f"FROM generate_series(1, 1 + {self.rng.randrange(3)})",
            # Rows go to another partition.
            f"UPDATE log_aktivitas SET tanggal = '2019-12-31' WHERE pkt_id = {self.pkt} AND tanggal < '2019-01-01'",
            f"UPDATE paket SET pkt_atribut = pkt_atribut - 'b', audituser = '' WHERE pkt_id = {self.pkt}"]

    def cancel(self):
        return [f"DELETE FROM log_aktivitas WHERE pkt_id = {self.pkt}",
                f"DELETE FROM jadwal_riwayat WHERE lls_id = {self.lls}",
                f"DELETE FROM paket WHERE pkt_id = {self.pkt}"]


class _Direct:
    """Direct procurement: the schema ekontrak."""

    def __init__(self, n, rng):
        self.n, self.rng, self.pkt = n, rng, package_id(n)

    def stages(self):
        rng, pkt, lls, psr = self.rng, self.pkt, self.pkt + 1, self.pkt + 2
        value = rng.randrange(5_000_000, 200_000_000)
        yield [f"INSERT INTO ekontrak.paket VALUES ({pkt}, {quoted(name(rng))}, {value}, {rng.randrange(6)}, 0, 'pp')",
               f"INSERT INTO ekontrak.paket_satker VALUES ({pkt}, {rng.randrange(101, 131)}, NULL)"]
        yield [f"INSERT INTO ekontrak.nonlelang_seleksi VALUES ({lls}, {pkt}, 0, now())",
               f"INSERT INTO ekontrak.peserta_nonlelang VALUES ({psr}, {lls}, {rng.randrange(1, 201)}, NULL)"]
        yield [f"UPDATE ekontrak.peserta_nonlelang SET psr_harga = {value}.5 WHERE psr_id = {psr}",
               f"UPDATE ekontrak.nonlelang_seleksi SET lls_status = 1 WHERE lls_id = {lls}"]
        yield [f"INSERT INTO ekontrak.spk (lls_id, spk_nilai, spk_content) VALUES ({lls}, {value}, "
               "'{\"pasal\":  1, \"pasal\": 2}')",
               f"UPDATE ekontrak.paket SET pkt_status = 1 WHERE pkt_id = {pkt}"]
