# The Debian packages: `scripts/build package`, or cpack in a release build whose prefix is /usr. mcp-broker has the
# programs; libmcp-broker0 the library for others, and libmcp-broker-dev what they are built with.
set(MCP_BROKER_MAINTAINER "mcp-broker developers <mcp-broker@users.noreply.github.com>" CACHE STRING
  "Maintainer of the Debian packages")
set(soname ${PROJECT_VERSION_MAJOR})

configure_file(debian/changelog changelog @ONLY)
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz
  COMMAND ${GZIP} -9nkf changelog DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/changelog VERBATIM)
add_custom_target(package-changelog ALL DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz)

set(CPACK_GENERATOR DEB)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_COMPONENTS_ALL broker library dev)
set(CPACK_PACKAGE_NAME mcp-broker)
set(CPACK_PACKAGE_VENDOR "mcp-broker")
set(CPACK_PACKAGE_CONTACT ${MCP_BROKER_MAINTAINER})
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON) # the servers file has an absolute place
set(CPACK_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# package(<component> <name> <section> <summary> <description>): what each package has of its own.
function(package component name section summary description)
  string(TOUPPER ${component} prefix)
  install(FILES debian/copyright ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name} COMPONENT ${component})
  set(CPACK_DEBIAN_${prefix}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(CPACK_DEBIAN_${prefix}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  set(CPACK_COMPONENT_${prefix}_DESCRIPTION "${summary}\n${description}" PARENT_SCOPE)
endfunction()

package(broker mcp-broker net "watches MCP servers and tells everybody when their tools change"
"Holds one connection to each of thousands of MCP servers, hears that a list
of tools, prompts or resources has changed, and publishes an event: on Redis
for all machines, and on a local socket for processes beside it. No change is
lost while a server, Redis or a part of the broker is away.

mcp-brokerctl tells which servers are connected, which are not, and why.")
package(library libmcp-broker${soname} libs "subscribe to mcp-broker and ask it, from C"
"For programs on the machine of an mcp-broker: hear that a list of tools,
prompts or resources of an MCP server has changed, ask which servers are
connected, and have servers watched.")
package(dev libmcp-broker-dev libdevel "subscribe to mcp-broker and ask it, from C (development files)"
"Header, static library, and files for CMake and pkg-config, for building
programs that hear from an mcp-broker on the same machine.")

set(CPACK_DEBIAN_BROKER_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_BROKER_PACKAGE_DEPENDS
  "systemd | systemd-standalone-sysusers | systemd-sysusers, init-system-helpers (>= 1.54~)")
set(CPACK_DEBIAN_BROKER_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_BROKER_PACKAGE_SUGGESTS "redis-server, prometheus, libmcp-broker${soname}")
set(CPACK_DEBIAN_BROKER_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_SOURCE_DIR}/debian/conffiles
  ${CMAKE_CURRENT_SOURCE_DIR}/debian/postinst ${CMAKE_CURRENT_SOURCE_DIR}/debian/prerm
  ${CMAKE_CURRENT_SOURCE_DIR}/debian/postrm)
# As Debian's policy has it. CPack adds scripts that call ldconfig, too, which can't be turned off.
install(FILES debian/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides
  RENAME libmcp-broker${soname} COMPONENT library)
file(CONFIGURE OUTPUT shlibs CONTENT "libmcp-broker ${soname} libmcp-broker${soname} (>= ${PROJECT_VERSION})\n")
file(CONFIGURE OUTPUT triggers CONTENT "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_BINARY_DIR}/shlibs ${CMAKE_CURRENT_BINARY_DIR}/triggers)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
  "libmcp-broker${soname} (= ${PROJECT_VERSION}), libjansson-dev, libmsgpack-dev, libnng-dev")
include(CPack)
