# The libraries that ours are linked to: read by our own build and by find_package(surprisal) alike.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Boost 1.74 REQUIRED)  # headers only: Boost.Math
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(ZLIB REQUIRED)
find_package(SQLite3 REQUIRED)  # with FTS5, as Debian builds it
pkg_check_modules(sentencepiece REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(highway REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(highway_contrib REQUIRED IMPORTED_TARGET libhwy-contrib)
find_package(LibTorch REQUIRED)  # last: its own dependencies must not shadow the ones above
