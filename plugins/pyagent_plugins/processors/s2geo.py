"""Gives metrics with a place the tag of the S2 cell in which it lies (the extra `s2geo`)."""

from typing import Annotated

from s2cell import lat_lon_to_token

from pyagent.api import Metric, Options, Processor, option

__all__ = ["S2Geo", "S2GeoOptions"]


class S2GeoOptions(Options, frozen=True):
    lat_field: Annotated[str, option("field with the latitude in degrees (WGS 84), a float")] = "lat"
    lon_field: Annotated[str, option("field with the longitude in degrees, a float")] = "lon"
    tag_key: Annotated[str, option("key of the tag with the token of the cell")] = "s2_cell_id"
    cell_level: Annotated[
        int, option("how small cells are: 0 is a sixth of the earth, 30 a square centimetre", ge=0, le=30)
    ] = 9


class S2Geo(Processor[S2GeoOptions]):
    def process(self, metrics: list[Metric]) -> list[Metric]:
        options = self.options
        if options.lat_field == options.lon_field:
            return metrics
        for metric in metrics:
            lat, lon = metric.fields.get(options.lat_field), metric.fields.get(options.lon_field)
            if isinstance(lat, float) and isinstance(lon, float):
                try:
                    token = lat_lon_to_token(lat, lon, options.cell_level)
                except ValueError:  # infinite, or no number
                    continue
                metric.tags = {**metric.tags, options.tag_key: token}
        return metrics
