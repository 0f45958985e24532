#!/usr/bin/env python3
"""A half-recovered database against the log: of 2,000 packages 40 are missing, altered or out of date;
compare names exactly these, restore --package makes them identical, and what the log does not know is not
overwritten unless told."""
import os

import spse_tenders
import spse_workload
from cluster import main, say
from pg_case import DATABASE, PgTest

PACKAGES = int(os.environ.get("KEMBAR_PACKAGES", "2000"))
COPY = "pulih"


def log_name(n):
    """The package of tender number n in the log."""
    return f"{'nontender' if n % 5 == 0 else 'paket'}/{spse_tenders.package_id(n)}"


class Compare(PgTest):
    def test_forty_of_two_thousand(self):
        seed, rng = self.seeded()
        server = self.start_server()
        server.create_database(DATABASE)
        spse_workload.fill(server, DATABASE, PACKAGES, seed, merge=100, chances=spse_tenders.NEVER,
                           scratch=False)
        cluster = self.start_cluster("tebo", "jambi")
        agent = self.start_agent(cluster, server)
        self.wait_captured(agent)
        self.restore(cluster, "jambi", server, COPY)
        self.assert_same(server, DATABASE, server, COPY, "before")
        chosen = rng.sample(range(1, PACKAGES + 1), 40)
        missing, altered, old = chosen[:14], chosen[14:27], chosen[27:]
        self.update_source(server, old)
        self.wait_captured(agent)
        self.damage_copy(server, missing, altered, rng)

        report = self.compare(cluster, server)
        named = {kind: self.names(report[kind]) for kind in ("differing", "missing", "extra")}
        self.assertEqual(named, {"differing": sorted(map(log_name, altered + old)),
                                 "missing": sorted(map(log_name, missing)), "extra": []})
        self.assertEqual(report["identical"], PACKAGES - 40)
        self.repair(cluster, server, missing + old, altered)
        report = self.compare(cluster, server)
        self.assertEqual(([], [], []), (report["differing"], report["missing"], report["extra"]))
        self.assertEqual(report["identical"], PACKAGES)
        self.assert_same(server, DATABASE, server, COPY, f"seed {seed}: after the repair")
        say(f"{PACKAGES} packages: 14 missing, 13 altered, 13 out of date were named, no other; repaired, identical")

    def update_source(self, server, numbers):
        """What the copy has of these is an earlier version."""
        for n in numbers:
            pkt, schema = spse_tenders.package_id(n), "ekontrak" if n % 5 == 0 else "public"
            sql = f"UPDATE {schema}.paket SET pkt_nama = pkt_nama || ' (adendum)', audituser = '' WHERE pkt_id = {pkt}"
            if n % 5:
                sql += (f"; UPDATE jadwal SET dtj_keterangan = 'mundur' WHERE lls_id IN "
                        f"(SELECT lls_id FROM lelang_seleksi WHERE pkt_id = {pkt})")
            server.sql(DATABASE, "BEGIN; " + sql + "; COMMIT")
        # The trail that the triggers wrote belongs to no package; the copy gets it from here.
        trail = server.sql(DATABASE, "COPY jejak_audit TO STDOUT")
        server.sql(COPY, "TRUNCATE jejak_audit; COPY jejak_audit FROM STDIN;\n" + trail + "\n\\.\n")

    def damage_copy(self, server, missing, altered, rng):
        sql = ["SET session_replication_role = replica"]  # no triggers; so no cascade either
        for n in missing:
            sql += self.delete_package(n)
        for n in altered:
            sql.append(self.alter_package(n, rng))
        server.sql(COPY, "BEGIN; " + "; ".join(sql) + "; COMMIT")

    @staticmethod
    def delete_package(n):
        pkt = spse_tenders.package_id(n)
        if n % 5 == 0:
            lls = f"lls_id IN (SELECT lls_id FROM ekontrak.nonlelang_seleksi WHERE pkt_id = {pkt})"
            return [f"DELETE FROM ekontrak.spk WHERE {lls}", f"DELETE FROM ekontrak.peserta_nonlelang WHERE {lls}",
                    f"DELETE FROM ekontrak.nonlelang_seleksi WHERE pkt_id = {pkt}",
                    f"DELETE FROM ekontrak.paket_satker WHERE pkt_id = {pkt}",
                    f"DELETE FROM ekontrak.paket WHERE pkt_id = {pkt}"]
        lls = f"lls_id IN (SELECT lls_id FROM lelang_seleksi WHERE pkt_id = {pkt})"
        psr = f"psr_id IN (SELECT psr_id FROM peserta WHERE {lls})"
        kontrak = f"kontrak_id IN (SELECT kontrak_id FROM kontrak WHERE {lls})"
        steps = [("ekontrak.pembayaran", kontrak), ("ekontrak.adendum", kontrak), ("kontrak", lls), ("sppbj", lls),
                 ("berita_acara", lls), ("sanggah", psr), ("nilai_evaluasi", psr), ("dok_penawaran", psr),
                 ("evaluasi", lls), ("peserta", lls), ("jadwal_riwayat", lls), ("jadwal", lls),
                 ("lelang_seleksi", f"pkt_id = {pkt}"), ("content", f"pkt_id = {pkt}"),
                 ("log_aktivitas", f"pkt_id = {pkt}"), ("paket_satker", f"pkt_id = {pkt}"),
                 ("paket", f"pkt_id = {pkt}")]
        return [f"DELETE FROM {table} WHERE {where}" for table, where in steps]

    @staticmethod
    def alter_package(n, rng):
        """One change somewhere in the package, by somebody that the log does not know."""
        pkt = spse_tenders.package_id(n)
        if n % 5 == 0:
            return f"UPDATE ekontrak.paket SET pkt_pagu = pkt_pagu + 1 WHERE pkt_id = {pkt}"
        lls = f"lls_id IN (SELECT lls_id FROM lelang_seleksi WHERE pkt_id = {pkt})"
        return rng.choice([
            f"UPDATE peserta SET psr_harga = 1 WHERE {lls}",
            f"UPDATE nilai_evaluasi SET nev_uraian = 'diubah' WHERE psr_id IN (SELECT psr_id FROM peserta WHERE {lls})",
            f"UPDATE dok_penawaran SET dok_isi = '\\x00' WHERE psr_id IN (SELECT psr_id FROM peserta WHERE {lls})",
            f"UPDATE berita_acara SET brc_isi = NULL WHERE {lls}",
            f"UPDATE content SET blb_hash = NULL WHERE pkt_id = {pkt}",
            f"UPDATE ekontrak.pembayaran SET nilai = 0 WHERE kontrak_id IN (SELECT kontrak_id FROM kontrak WHERE {lls})",
            f"UPDATE paket SET pkt_nama = '' WHERE pkt_id = {pkt}"])

    def compare(self, cluster, server):
        """What it says as JSON. The exit code is 0 when all is identical, otherwise 1."""
        done = cluster.try_ctl("--output", "json", "compare", "postgres", "--dsn", server.dsn(COPY), "--at", "jambi",
                               seconds=240)
        self.assertTrue(done.out, str(done))
        report = done.json()
        same = not (report["differing"] or report["missing"] or report["extra"])
        self.assertEqual(done.code, 0 if same else 1, str(done))
        return report

    @staticmethod
    def names(entries):
        return sorted(entry["package"] if isinstance(entry, dict) else entry for entry in entries)

    def repair(self, cluster, server, safe, altered):
        def restore(numbers, *options):
            packages = [word for n in numbers for word in ("--package", log_name(n))]
            return cluster.try_ctl("--yes", "--output", "json", "restore", "postgres", "--dsn", server.dsn(COPY),
                                   *packages, *options, seconds=240)

        done = restore(safe)
        self.assertEqual(done.code, 0, str(done))
        before = server.checksum(COPY)
        done = restore(altered[:1] + safe[:1])
        self.assertNotEqual(done.code, 0, str(done))
        self.assertIn("overwrite", done.err + done.out)
        self.assertEqual(server.checksum(COPY), before, "refused, yet something was written")
        done = restore(altered, "--overwrite")
        self.assertEqual(done.code, 0, str(done))
        say(f"refused to overwrite what the log does not know; with --overwrite: {done.out[:300]}")


if __name__ == "__main__":
    main()
