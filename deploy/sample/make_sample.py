#!/usr/bin/env python3
"""Writes an invented procurement plan (RUP) of one regency as a JSON array of packages, in the shape
in which SiRUP publishes it, for trying Kembar out without real data.

The same arguments give the same bytes on every machine. As in real files, fields are null, names hold
line breaks, amounts come as numbers and as strings, and a few ids come twice with differing contents.

Usage: make_sample.py [--packages N] [--year YEAR] [--seed S] FILE     (FILE "-": standard output)
"""
import argparse
import datetime
import json
import random
import sys

# Code, name and activities of the units (satuan kerja) that buy.
UNITS = [
    (71001, "DINAS PENDIDIKAN DAN KEBUDAYAAN", "Pengelolaan Pendidikan Sekolah Dasar", "school"),
    (71002, "DINAS KESEHATAN", "Pemenuhan Upaya Kesehatan Perorangan", "health"),
    (71003, "RSUD SULTAN THAHA SAIFUDDIN", "Peningkatan Pelayanan BLUD", "health"),
    (71004, "DINAS PEKERJAAN UMUM DAN PENATAAN RUANG", "Penyelenggaraan Jalan Kabupaten", "works"),
    (71005, "DINAS PERUMAHAN RAKYAT DAN KAWASAN PERMUKIMAN", "Penataan Kawasan Kumuh", "works"),
    (71006, "DINAS PERHUBUNGAN", "Penyelenggaraan Lalu Lintas Jalan", "works"),
    (71007, "DINAS PERKEBUNAN, PETERNAKAN DAN PERIKANAN", "Pengembangan Prasarana Pertanian", "farm"),
    (71008, "DINAS KOMUNIKASI DAN INFORMATIKA", "Pengelolaan e-Government", "office"),
    (71009, "SEKRETARIAT DAERAH", "Administrasi Umum Perangkat Daerah", "office"),
    (71010, "SEKRETARIAT DPRD", "Layanan Keuangan dan Kesejahteraan DPRD", "office"),
    (71011, "BADAN PENANGGULANGAN BENCANA DAERAH", "Pelayanan Kesiapsiagaan Bencana", "works"),
    (71012, "KECAMATAN TEBO TENGAH", "Penyelenggaraan Urusan Pemerintahan Umum", "office"),
    (71013, "KECAMATAN RIMBO BUJANG", "Penyelenggaraan Urusan Pemerintahan Umum", "office"),
]
PLACES = ["Muara Tebo", "Rimbo Bujang", "Rimbo Ulu", "Rimbo Ilir", "Tebo Ulu", "Tebo Ilir", "Sumay",
          "VII Koto", "VII Koto Ilir", "Tengah Ilir", "Serai Serumpun", "Muara Tabir"]
# Kind of procurement, what is bought, least and most in million rupiah; by the unit's field.
GOODS, WORKS, CONSULTING, SERVICES = (
    (1, "Barang"), (2, "Pekerjaan Konstruksi"), (3, "Jasa Konsultansi"), (4, "Jasa Lainnya"))
OFFICE = [
    (GOODS, "Belanja Alat Tulis Kantor", 2, 60), (GOODS, "Pengadaan Notebook", 8, 120),
    (GOODS, "Belanja Bahan Bakar Minyak", 10, 180), (SERVICES, "Jasa Kebersihan Kantor", 20, 190),
    (SERVICES, "Belanja Makanan dan Minuman Rapat", 3, 90),
    (SERVICES, "Sewa Bandwidth Internet", 40, 900)]
BUYS = {
    "office": OFFICE,
    "school": OFFICE[:2] + [
        (WORKS, "Rehabilitasi Ruang Kelas SDN", 120, 900), (GOODS, "Pengadaan Meubelair SDN", 30, 400),
        (CONSULTING, "Perencanaan Pembangunan Ruang Kelas Baru", 15, 95)],
    "health": OFFICE[:1] + [
        (GOODS, "Belanja Obat-obatan", 50, 4_000), (GOODS, "Pengadaan Alat Kesehatan", 80, 6_500),
        (WORKS, "Rehabilitasi Puskesmas", 150, 2_400),
        (CONSULTING, "Pengawasan Rehabilitasi Puskesmas", 12, 98)],
    "works": OFFICE[:1] + [
        (WORKS, "Peningkatan Jalan", 400, 18_000), (WORKS, "Pemeliharaan Jembatan", 180, 3_500),
        (WORKS, "Pembangunan Drainase", 90, 1_200), (CONSULTING, "Perencanaan Teknis Jalan", 40, 450),
        (CONSULTING, "Pengawasan Teknis Peningkatan Jalan", 40, 380)],
    "farm": OFFICE[:1] + [
        (GOODS, "Pengadaan Bibit Karet Unggul", 60, 750), (GOODS, "Pengadaan Pakan Ikan", 15, 190),
        (WORKS, "Pembangunan Jalan Usaha Tani", 150, 800)],
}
MILLION = 1_000_000


def method_of(rng, kind, pagu):
    """Code and name of the way a supplier is chosen, by the thresholds of the year 2019."""
    if kind == CONSULTING:
        return (8, "Pengadaan Langsung") if pagu <= 100 * MILLION else (5, "Seleksi Sederhana")
    if kind == GOODS and rng.random() < 0.2:
        return 9, "e-Purchasing"
    if pagu <= 200 * MILLION:
        return 8, "Pengadaan Langsung"
    return (13, "Tender Cepat") if rng.random() < 0.15 else (14, "Tender")


def dates_of(rng, year):
    start = datetime.date(year, 1, 15) + datetime.timedelta(days=rng.randrange(240))
    steps = [0, 7 + rng.randrange(30), 10 + rng.randrange(7), 30 + rng.randrange(90)]
    days = []
    for step in steps:
        start += datetime.timedelta(days=step)
        days.append(min(start, datetime.date(year, 12, 31)).isoformat())
    return days


def make_name(rng, what):
    name = f"{what} {rng.choice(PLACES)}"
    luck = rng.random()
    if luck < 0.05:
        return name + "\r\n"
    if luck < 0.08:
        return name.replace(" ", "  ", 1) + "\r\n(Lanjutan)"
    if luck < 0.12:
        return f"{name} – Tahap {rng.choice(['I', 'II', 'III'])}"
    return name


def make_row(rng, number, year):
    unit, unit_name, activity, field = rng.choice(UNITS)
    kind, what, least, most = rng.choice(BUYS[field])
    share = rng.random()  # most packages are small
    pagu = int((least + (most - least) * share * share * share) * MILLION) // 50_000 * 50_000
    method, method_name = method_of(rng, kind, pagu)
    name = make_name(rng, what)
    days = dates_of(rng, year)
    capital = 1 if kind == WORKS else rng.choice([0, 0, 1])
    fund = rng.choice(["APBD"] * 9 + ["APBN"])
    return {
        "id_satker": unit, "nama_satker": unit_name, "id": 18_400_000 + number * 7,
        "id_program": None, "id_kegiatan": None, "namaprogram": None, "kegiatan": activity,
        "nama": name, "lokasi_pekerjaan": None, "lokasi": "Tebo (Kab.)",
        "jenis_belanja": 2 if capital else 1, "jenis_belanja_str": "Modal" if capital else "Barang/Jasa",
        "jenis_pengadaan": kind[0], "jenis_pengadaan_str": kind[1], "volume": "1 paket",
        "metode_pemilihan_penyedia": method, "motode_str": method_name,
        "tanggal_awal_pengadaan": days[0], "tanggal_akhir_pengadaan": days[1],
        "tanggal_awal_pekerjaan": days[2], "tanggal_akhir_pekerjaan": days[3],
        "last_update_time": 1_546_300_800_000 + rng.randrange(10**10), "create_time": f"{year}-01-02",
        "sumber_dana_string": fund, "sumber_dana": fund, "asal_dana": "D83",
        "asal_dana_satker": None, "mak": f"1.0{unit % 9}.{number % 97:02d}.5.2", "pagu_mak": str(pagu),
        "total_pagu": pagu, "deskripsi": name.strip(), "id_swakelola": None, "status_tkdn": None,
        "status_pradipa": None, "umumkan": "umumkan", "aktif": "aktif", "kode_kegiatan": None,
    }


def make_rows(packages, year, seed):
    rng = random.Random(seed)
    rows = [make_row(rng, number, year) for number in range(packages)]
    # Revised during the year: published again under the same id.
    for number in range(0, packages, 97):
        revised = dict(rows[number], last_update_time=rows[number]["last_update_time"] + 86_400_000)
        revised["total_pagu"] += 1_250_000
        revised["pagu_mak"] = str(revised["total_pagu"])
        rows.append(revised)
    return rows


def main():
    parser = argparse.ArgumentParser(description="Writes an invented procurement plan.")
    parser.add_argument("--packages", type=int, default=500)
    parser.add_argument("--year", type=int, default=2019)
    parser.add_argument("--seed", type=int, default=2019)
    parser.add_argument("file")
    args = parser.parse_args()
    rows = make_rows(args.packages, args.year, args.seed)
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    if args.file == "-":
        sys.stdout.write(text)
    else:
        with open(args.file, "w", encoding="utf-8", newline="") as out:
            out.write(text)


if __name__ == "__main__":
    main()
