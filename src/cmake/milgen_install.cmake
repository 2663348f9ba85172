include_guard(GLOBAL)
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/milgen")

install(
  TARGETS milgen ane_bridge
  EXPORT milgen_targets
  FILE_SET HEADERS)
install(
  EXPORT milgen_targets
  NAMESPACE milgen::
  FILE milgen_targets.cmake
  DESTINATION "${package_dir}")

configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/milgen-config.cmake.in"
  "${PROJECT_BINARY_DIR}/package/milgen-config.cmake"
  INSTALL_DESTINATION "${package_dir}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/milgen-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/package/milgen-config.cmake"
              "${PROJECT_BINARY_DIR}/package/milgen-config-version.cmake"
        DESTINATION "${package_dir}")

# An absolute CMAKE_INSTALL_LIBDIR (Nix, some distributions) is taken as it is; a relative one is
# written relative to the .pc file, so that an installed tree can be moved.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(MILGEN_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
  set(MILGEN_PC_LIBDIR "${CMAKE_INSTALL_FULL_LIBDIR}")
  set(MILGEN_PC_INCLUDEDIR "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
else()
  cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY
             "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" OUTPUT_VARIABLE up)
  set(MILGEN_PC_PREFIX "\${pcfiledir}/${up}")
  set(MILGEN_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  set(MILGEN_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
# A static archive cannot name what it needs, so a plain `pkg-config --libs milgen` must.
set(MILGEN_PC_REQUIRES "Requires.private")
get_target_property(type milgen TYPE)
if(type STREQUAL "STATIC_LIBRARY")
  set(MILGEN_PC_REQUIRES "Requires")
  set(MILGEN_PC_THREADS " ${CMAKE_THREAD_LIBS_INIT}")
endif()
set(MILGEN_PC_PACKAGES "fmt")
if(NOT APPLE)
  string(APPEND MILGEN_PC_PACKAGES ", libcrypto")
endif()
if(MILGEN_BUILD_CPU)
  string(APPEND MILGEN_PC_PACKAGES ", libhwy")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/milgen.pc.in" "${PROJECT_BINARY_DIR}/package/milgen.pc"
               @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/package/milgen.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
