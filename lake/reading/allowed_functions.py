"""Functions: what SQL of a reader may call.

Belongs here: names that are allowed, and finding the ones that a statement calls. Whether a statement reads at all is
decided in `reader`.

The list is of what is allowed, since a function that reads a file, an address or an environment variable looks like any
other: `delta_scan` asks any server, whatever external access DuckDB is told to refuse, and `write_blob` writes. A name
that a later DuckDB brings is refused until it stands here.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from lake.reading.series_macros import SCALAR_MACROS, TABLE_MACROS
from lake.sql_text import quoted
from runtime.errors import QueryError

_TABLE_FUNCTION_NAMES = """
duckdb_columns duckdb_constraints duckdb_coordinate_systems duckdb_databases duckdb_dependencies duckdb_extensions
duckdb_functions duckdb_indexes duckdb_keywords duckdb_memory duckdb_optimizers duckdb_schemas duckdb_sequences
duckdb_settings duckdb_tables duckdb_types duckdb_views generate_series icu_calendar_names json_each json_tree
pg_timezone_names pragma_collations pragma_database_size pragma_platform pragma_show pragma_table_info
pragma_user_agent pragma_version range repeat repeat_row summary unnest
"""
_FUNCTION_NAMES = """
abs acos acosh add age aggregate ago alias any_value apply approx_count_distinct approx_quantile approx_top_k
arbitrary arg_max arg_max_null arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg
array_aggr array_aggregate array_append array_apply array_cat array_concat array_contains array_cosine_distance
array_cosine_similarity array_cross_product array_distance array_distinct array_dot_product array_extract
array_filter array_grade_up array_has array_has_all array_has_any array_indexof array_inner_product array_intersect
array_length array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front array_position
array_prepend array_push_back array_push_front array_reduce array_resize array_reverse array_reverse_sort
array_select array_slice array_sort array_to_json array_to_string array_to_string_comma_default array_transform
array_unique array_value array_where array_zip ascii asin asinh atan atan2 atanh avg bar base64 bin bit_and
bit_count bit_length bit_or bit_position bit_xor bitstring bitstring_agg bool_and bool_or can_cast_implicitly
cardinality cast_to_type cbrt ceil ceiling century char_length character_length chr col_description combine concat
concat_ws constant_or_null contains corr cos cosh cot count count_if count_star countif covar_pop covar_samp
cume_dist current_catalog current_connection_id current_database current_date current_localtime
current_localtimestamp current_query current_query_id current_role current_schema current_schemas current_setting
current_transaction_id current_user damerau_levenshtein date_add date_diff date_part date_sub date_trunc datediff
datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month decade decode degrees dense_rank
divide editdist3 element_at encode ends_with entropy enum_code enum_first enum_last enum_range enum_range_boundary
epoch epoch_ms epoch_ns epoch_us equi_width_bins era error even exp factorial favg fdiv fill filter finalize first
first_value flatten floor fmod format formatReadableDecimalSize formatReadableSize format_bytes format_pg_type
format_type from_base64 from_binary from_hex from_json from_json_strict fsum gamma gcd gen_random_uuid
generate_series generate_subscripts geomean geometric_mean get_bit get_current_time get_current_timestamp get_type
getvariable grade_up greatest greatest_common_divisor group_concat hamming has_any_column_privilege
has_column_privilege has_database_privilege has_foreign_data_wrapper_privilege has_function_privilege
has_language_privilege has_schema_privilege has_sequence_privilege has_server_privilege has_table_privilege
has_tablespace_privilege hash hex histogram histogram_exact hour icu_sort_key ilike_escape in_search_path instr
is_histogram_other_bin isfinite isinf isnan isodow isoyear jaccard jaro_similarity jaro_winkler_similarity json
json_array json_array_length json_contains json_exists json_extract json_extract_path json_extract_path_text
json_extract_string json_group_array json_group_object json_group_structure json_keys json_merge_patch json_object
json_pretty json_quote json_serialize_sql json_structure json_transform json_transform_strict json_type json_valid
json_value julian kahan_sum kurtosis kurtosis_pop lag last last_day last_value lcase lcm lead least
least_common_multiple left left_grapheme len length length_grapheme levenshtein lgamma like_escape list list_aggr
list_aggregate list_any_value list_append list_apply list_approx_count_distinct list_avg list_bit_and list_bit_or
list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains list_cosine_distance
list_cosine_similarity list_count list_distance list_distinct list_dot_product list_element list_entropy
list_extract list_filter list_first list_grade_up list_has list_has_all list_has_any list_histogram list_indexof
list_inner_product list_intersect list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median list_min
list_mode list_negative_dot_product list_negative_inner_product list_pack list_position list_prepend list_product
list_reduce list_resize list_reverse list_reverse_sort list_select list_sem list_skewness list_slice list_sort
list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop
list_var_samp list_where list_zip listagg ln log log10 log2 lower lpad ltrim mad make_date make_time make_timestamp
make_timestamp_ms make_timestamp_ns make_timestamptz make_type map map_concat map_contains map_contains_entry
map_contains_value map_entries map_extract map_extract_value map_from_entries map_keys map_to_pg_oid map_values max
max_by md5 md5_number md5_number_lower md5_number_upper mean median microsecond millennium millisecond min min_by
minute mismatches mod mode month monthname multiply nanosecond nextafter nfc_normalize normalized_interval
not_ilike_escape not_like_escape now nth_value ntile nullif obj_description octet_length ord parse_dirname
parse_dirpath parse_duckdb_log_message parse_filename parse_formatted_bytes parse_path percent_rank
pg_collation_is_visible pg_conf_load_time pg_conversion_is_visible pg_function_is_visible pg_get_constraintdef
pg_get_expr pg_get_viewdef pg_has_role pg_is_other_temp_schema pg_my_temp_schema pg_opclass_is_visible
pg_operator_is_visible pg_opfamily_is_visible pg_postmaster_start_time pg_size_pretty pg_table_is_visible
pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible pg_ts_template_is_visible pg_type_is_visible
pg_typeof pi position pow power prefix printf product quantile quantile_cont quantile_disc quarter radians random
range rank rank_dense reduce regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches
regexp_replace regexp_split_to_array regexp_split_to_table regr_avgx regr_avgy regr_count regr_intercept regr_r2
regr_slope regr_sxx regr_sxy regr_syy remap_struct repeat replace replace_type reservoir_quantile reverse right
right_grapheme round round_even roundbankers row row_number row_to_json rpad rtrim second sem session_user set_bit
setseed sha1 sha256 shobj_description sign signbit sin sinh skewness split split_part sqrt st_asbinary st_astext
st_aswkb st_aswkt st_crs st_geomfromwkb st_intersects_extent st_setcrs starts_with stddev stddev_pop stddev_samp
str_split str_split_regex strftime string_agg string_split string_split_regex string_to_array strip_accents strlen
strpos strptime struct_concat struct_contains struct_extract struct_extract_at struct_has struct_indexof
struct_insert struct_keys struct_pack struct_position struct_update struct_values substr substring
substring_grapheme subtract suffix sum sum_no_overflow sumkahan switch tan tanh time_bucket timetz_byte_comparable
timezone timezone_hour timezone_minute to_base to_base64 to_binary to_centuries to_days to_decades to_hex to_hours
to_json to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp
to_weeks to_years today transaction_timestamp translate trim trunc try_strptime txid_current typeof ucase unbin
unhex unicode union_extract union_tag union_value unnest unpivot_list upper url_decode url_encode user uuid
uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 var_pop var_samp variance variant_bytes_to_variant
variant_extract variant_normalize variant_to_parquet_variant variant_typeof vector_type version wavg week weekday
weekofyear weighted_avg xor year yearweek
"""
_TABLE_FUNCTIONS = frozenset([*_TABLE_FUNCTION_NAMES.split(), *TABLE_MACROS])
_FUNCTIONS = frozenset([*_FUNCTION_NAMES.lower().split(), *SCALAR_MACROS])
_PREFIXES = ("icu_collate_", "!__postfix")
# a table's name that is none in a catalog is tried as a file or an address
_FILE = re.compile(r"[^\w\s$-]")
# between a function's name and its parenthesis
_GAP = r"""["\s]*(?:(?:/\*.*?\*/|--[^\n]*\n)\s*)*\("""


def check_calls(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Raises QueryError when a statement of the kind SELECT calls what is not allowed, or names a file."""
    ((text,),) = connection.cursor().execute(f"SELECT json_serialize_sql({quoted(statement)})").fetchall()
    tree = json.loads(text)
    if tree.get("error"):
        raise QueryError(
            f"This statement cannot be looked into ({tree.get('error_message')}): write it in another way."
        )
    for kind, name in _named(tree):
        if kind == "table":
            if _FILE.search(name):
                raise QueryError(_refusal(repr(name)))
        elif not _is_allowed(name, _TABLE_FUNCTIONS if kind == "table function" else _FUNCTIONS):
            raise QueryError(_refusal(f"{name}()"))


def check_pivot(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """As `check_calls`, for a PIVOT that DuckDB does not take apart: by its words. Raises QueryError."""
    rows = connection.cursor().execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    allowed = _TABLE_FUNCTIONS | _FUNCTIONS
    names = [name for (name,) in rows if re.match(r"\w", name) and not _is_allowed(name, allowed)]
    called = re.search(rf"\b({'|'.join(map(re.escape, names))}){_GAP}", statement, re.IGNORECASE | re.DOTALL)
    if called is not None:
        raise QueryError(_refusal(f"{called.group(1)}()"))
    if "$" in statement:
        raise QueryError(_refusal("A text in dollars in a PIVOT without IN"))
    for literal in re.findall(r"""'[^']*'|"[^"]*\"""", statement):
        if _FILE.search(literal[1:-1]):
            raise QueryError(_refusal(f"{literal} in a PIVOT without IN"))


def _is_allowed(name: str, allowed: frozenset[str]) -> bool:
    lower = name.lower()
    # an operator is no word
    return lower in allowed or lower.startswith(_PREFIXES) or not re.search(r"\w", lower)


def _named(tree: Any) -> Iterator[tuple[str, str]]:
    """What a parsed statement names: tables, table functions and other functions."""
    waiting = [(tree, False)]
    while waiting:
        node, is_table = waiting.pop()
        if isinstance(node, list):
            waiting += [(each, is_table) for each in node]
        elif isinstance(node, dict):
            if node.get("type") == "BASE_TABLE":
                yield "table", node["table_name"]
            elif "function_name" in node:
                yield ("table function" if is_table else "function"), node["function_name"]
            is_call = node.get("type") == "TABLE_FUNCTION"
            waiting += [(value, is_call and key == "function") for key, value in node.items()]


def _refusal(what: str) -> str:
    return (
        f"{what} is refused: SQL here asks the lake's tables and computes with what they say. It reads and writes no "
        "other file, address or setting. `.tables` at the prompt, or SHOW ALL TABLES, lists what there is."
    )
