import pytest

from wherewhen.core import registry

UCF = {
    name: f"ucf_crime/{name}" for name in ("Anomaly_Train.txt", "Anomaly_Test.txt", "Temporal_Anomaly_Annotation.txt")
}
REAL = {
    "ucf_crime": UCF,
    "ucf_crime_liu_ma": UCF | {"Test_annotation.pkl": "ucf_crime_boxes_liu_ma/Test_annotation.pkl"},
    "ucf_crime_sst": UCF | {"merged_ucf_crime.json": "ucf_crime_boxes_sst/merged_ucf_crime.json"},
    "shanghaitech": {n: f"shanghaitech/{n}" for n in ("SH_Train.txt", "SH_Test.txt", "test_frame_mask", "tracks")},
    "xd_violence": {"annotations.txt": "xd_violence/XD_Annotation.txt"},
    "msad": {name: f"msad/{name}" for name in ("MSAD_Train.list", "MSAD_Test.list", "merged_MSAD.json")},
    "ubnormal": {"scripts": "ubnormal"},
    "subway": {"Entrance": "subway/Entrance", "Exit": "subway/Exit"},
    "ucsd_ped2": {"UCSDped2": "ucsd_ped/UCSDped2"},
    "avenue": {"ground_truth_demo/testing_label_mask/21_label.mat": "avenue/21_label.mat"},
}
PUBLISHED = (*REAL, "ucsd_ped1", "street_scene", "tad", "ucfcrime2local", "st_ucf_crime", "stra")


@pytest.mark.parametrize("name", REAL)
def test_a_real_layout_is_recognized_by_its_own_reader_alone(link, name):
    root = link(REAL[name])
    assert [other for other in PUBLISHED if registry.load("datasets", other).matches(root)] == [name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_reader_describes_itself_and_claims_no_strange_folder(tmp_path, name):
    reader = registry.load("datasets", name)
    (tmp_path / "notes.txt").write_text("nothing of interest")
    (tmp_path / "videos").mkdir()
    assert not reader.matches(tmp_path)
    assert reader.source.title and reader.source.citation and reader.source.licence
    assert reader.source.homepage.startswith("http")
    assert reader.split_rule and reader.counts
