# What `cmake --install` puts under the prefix. Nothing there names the prefix, so the tree can be moved.
include(CMakePackageConfigHelpers)

function(tfxc_install)
    set(package ${CMAKE_SOURCE_DIR}/cmake/package)
    set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tfxc)
    # LLVM's library may lie where the system does not look.
    set_target_properties(tfxc PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
    install(TARGETS tfxc tfxrun)
    target_include_directories(tfx INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    install(TARGETS tfx EXPORT tfxcTargets)
    install(FILES ${CMAKE_SOURCE_DIR}/runtime/tfx.h TYPE INCLUDE)

    # For find_package(tfxc).
    install(EXPORT tfxcTargets NAMESPACE tfxc:: DESTINATION ${package_dir})
    configure_package_config_file(${package}/tfxcConfig.cmake.in ${CMAKE_BINARY_DIR}/tfxcConfig.cmake
                                  INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_BINDIR
                                  NO_CHECK_REQUIRED_COMPONENTS_MACRO)
    write_basic_package_version_file(${CMAKE_BINARY_DIR}/tfxcConfigVersion.cmake COMPATIBILITY SameMinorVersion)
    install(FILES ${CMAKE_BINARY_DIR}/tfxcConfig.cmake ${CMAKE_BINARY_DIR}/tfxcConfigVersion.cmake
                  ${package}/TfxcAddModel.cmake DESTINATION ${package_dir})

    # For pkg-config, which knows where it found the file.
    file(RELATIVE_PATH TFXC_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
    configure_file(${package}/tfx.pc.in ${CMAKE_BINARY_DIR}/tfx.pc @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/tfx.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

    install(FILES ${CMAKE_SOURCE_DIR}/examples/embed_python/tfx.py DESTINATION ${CMAKE_INSTALL_DATADIR}/tfxc/python)
    file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/*.md)
    install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/LICENSE TYPE DOC)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
endfunction()
