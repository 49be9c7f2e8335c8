# The Debian package: `scripts/build package`, or cpack in a release build whose prefix is /usr.
set(MCP_BROKER_MAINTAINER "mcp-broker developers <mcp-broker@users.noreply.github.com>" CACHE STRING
  "Maintainer of the Debian package")

set(doc ${CMAKE_INSTALL_DATADIR}/doc/mcp-broker)
configure_file(debian/changelog changelog @ONLY)
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz
  COMMAND ${GZIP} -9nkf changelog DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/changelog VERBATIM)
add_custom_target(package-changelog ALL DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz)
install(FILES debian/copyright ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz DESTINATION ${doc})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mcp-broker)
set(CPACK_PACKAGE_VENDOR "mcp-broker")
set(CPACK_PACKAGE_CONTACT ${MCP_BROKER_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "watches MCP servers and tells everybody when their tools change")
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON) # the servers file has an absolute place
set(CPACK_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers, init-system-helpers (>= 1.54~)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS redis-server)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Holds one connection to each of thousands of MCP servers, hears that a list
of tools, prompts or resources has changed, and publishes an event: on Redis
for all machines, and on a local socket for processes beside it. No change is
lost while a server, Redis or a part of the broker is away.

mcp-brokerctl tells which servers are connected, which are not, and why.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_SOURCE_DIR}/debian/conffiles
  ${CMAKE_CURRENT_SOURCE_DIR}/debian/postinst ${CMAKE_CURRENT_SOURCE_DIR}/debian/prerm
  ${CMAKE_CURRENT_SOURCE_DIR}/debian/postrm)
include(CPack)
