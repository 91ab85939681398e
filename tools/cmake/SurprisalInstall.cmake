# `cmake --install` and `find_package(surprisal)` for programs that bring their own sampler.
include(CMakePackageConfigHelpers)
set(_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/surprisal)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/surprisalConfig.cmake.in
  ${CMAKE_BINARY_DIR}/surprisalConfig.cmake INSTALL_DESTINATION ${_package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/surprisalConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/surprisalConfig.cmake
              ${CMAKE_BINARY_DIR}/surprisalConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FindLibTorch.cmake
              ${CMAKE_CURRENT_LIST_DIR}/SurprisalDependencies.cmake
        DESTINATION ${_package_dir})
install(EXPORT surprisalTargets NAMESPACE surprisal:: DESTINATION ${_package_dir})
