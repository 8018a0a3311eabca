"""The public vocabulary: what programs import and how they call it. A name here is never taken away or changed."""

from __future__ import annotations

NAMES: dict[str, str] = {
    "paglets.core.errors": """
        PagletError SerializationError HostError AuthenticationError ForbiddenError RemoteHostError InvalidAgentError
        PagletInactiveError PagletCrashedError NotHandledError LifecycleError TransferError TransferInDoubtError
        ServiceContractError ServiceNotFoundError""",
    "paglets.core.runtime_values": """
        ServiceScope ResidentLifecycle ArrivalMode EnvelopeKind LaunchConfigSyncAction require_enum enum_from_wire""",
    "paglets.core.messages": """
        SYNCHRONOUS FUTURE ONEWAY MIN_PRIORITY NORMAL_PRIORITY MAX_PRIORITY UNQUEUED_PRIORITY REENTRANT_PRIORITY
        SYSTEM_PRIORITY REQUEST_PRIORITY CLONE DISPATCH DISPOSE DEACTIVATE REVERT Message FutureReply ReplySet""",
    "paglets.core.events": "PagletEvent CreationEvent MobilityEvent CloneEvent PersistencyEvent",
    "paglets.core.context_events": "ContextEvent ContextEventLog",
    "paglets.core.agent": """
        ACTIVE INACTIVE PagletState NOT_HANDLED state_locked Paglet PagletContext CheckpointPolicy RestartPolicy""",
    "paglets.core.itinerary": """
        EXECUTE_ON_ARRIVAL EXECUTE_ON_DISPATCH EXECUTE_ON_REVERTING EXECUTE_ON_DEFAULT ItineraryPlan ItineraryTask
        TaskItineraryPlan ItineraryAgentMixin""",
    "paglets.serialization.codec": "qualified_name resolve_qualified_name dataclass_to_wire dataclass_from_wire",
    "paglets.persistence.persistency": "DeactivationPolicy DeactivationRequest QueuedMessage InactiveRecord",
    "paglets.persistence.storage": """
        DEFAULT_PERSISTENT_STORAGE_QUOTA_BYTES StorageStatus ManagedStorage StorageQuotaError""",
    "paglets.services.contracts": """
        CONTRACT_METADATA_KEY EmptyPayload ServiceOperation ServiceContract ServiceHandle ServiceRecord
        ServiceRegistry""",
    "paglets.services.resident": """
        RESIDENT_SERVICE_METADATA_KEY DEFAULT_RESIDENT_IDLE_TIMEOUT_SECONDS DEFAULT_SERVICE_LEASE_TTL_SECONDS
        ResidentServiceSpec ServiceLease""",
    "paglets.patterns.tasks": """
        TaskStatus TaskState TaskPaglet TASK_START TASK_STATUS TASK_WAIT TaskStartRequest EmptyPayload TaskWaitRequest
        TaskStatusReply TaskClient TaskSnapshot""",
    "paglets.patterns.operations": "OperationPaglet OperationClient",
    "paglets.patterns.coordination": "ChildRoleState MeshFanoutState MeshFanoutMixin CursorDrainMixin",
    "paglets.patterns.notifications": "NotificationSeverity NotificationMixin",
    "paglets.patterns.file_mobility": """
        FileTransferMode FileTransferRequest FileTransferEndpoint FileTransferResult FileTransferState
        FileTransferSource FileTransferPlan FileTransferArrival format_bytes FileMobilityMixin
        SingleFileTransferPaglet""",
    "paglets.artifacts": """
        ArtifactRef PagletFileRef ArtifactStore ArtifactWriteResult file_sha256 safe_target_filename
        paglet_file_ref_from_path""",
    "paglets.remote.references": "PagletProxyRef",
    "paglets.remote.proxy": "PagletProxy",
    "paglets.remote.transfer": "TransferTicket",
    "paglets.remote.client": "HostClient",
    "paglets.remote.mesh": "HostRef MeshRegistry",
    "paglets.remote.admin": """
        ServerRef AgentDiscoveryConfig ServerStatus AgentRecord ServiceSummary PagletsAdminClient""",
    "paglets.tooling.discovery": "discover_agent_classes DiscoveryResult AgentClassRecord",
    "paglets.runtime.host": "Host",
    "paglets.runtime.envelope": "PagletEnvelope",
    "paglets.runtime.resources": "ResourceCleanupError ResourceRegistry",
    "paglets.config.startup": """
        AutoStartSpec StartupAgentConfig ResidentServiceConfig LaunchConfig LaunchConfigSyncResult
        bundled_launch_config_text load_launch_config sync_launch_config resolve_startup_agent
        resolve_resident_service""",
    "paglets.system.server_info": "SERVER_INFO LOAD DF PLIST SUMMARY",
    "paglets.system.mesh_info": "MESH_INFO SNAPSHOT LANDSCAPE SYNC SELECT_TARGETS TargetSelectionRequest",
    "paglets.system.user_info": "USER_INFO NOTIFY STREAM",
}

SIGNATURES: dict[str, str] = {
    "paglets.core.runtime_values": """
        require_enum(value, enum_cls, field_name)
        enum_from_wire(value, enum_cls, field_name)""",
    "paglets.core.messages": """
        Message(kind, args={}, arg=None, sender=None, reply_to=None, priority=5, message_type=0, timestamp, message_id)
        Message.get_arg(name=None, default=None)
        Message.set_arg(name, value)
        Message.same_kind(kind_or_message)
        Message.increase_priority()
        Message.decrease_priority()
        Message.to_wire()
        Message.from_wire(payload)
        FutureReply(future)
        FutureReply.is_available()
        FutureReply.wait_for_reply(timeout=None)
        FutureReply.get_reply(timeout=None)
        FutureReply.get_boolean_reply(timeout=None)
        FutureReply.get_int_reply(timeout=None)
        FutureReply.get_float_reply(timeout=None)
        FutureReply.get_string_reply(timeout=None)
        FutureReply.added_to(reply_set)
        ReplySet(replies=None)
        ReplySet.add_future_reply(r)
        ReplySet.done(r)
        ReplySet.are_all_available()
        ReplySet.is_any_available()
        ReplySet.count_available()
        ReplySet.count_unavailable()
        ReplySet.has_more_future_replies()
        ReplySet.wait_for_all_replies(timeout=None)
        ReplySet.wait_for_next_future_reply(timeout=None)
        ReplySet.get_next_future_reply(timeout=None)""",
    "paglets.core.context_events": """
        ContextEventLog(*, capacity=1000)
        ContextEventLog.add_listener(fn)
        ContextEventLog.remove_listener(fn)
        ContextEventLog.emit(*, kind, host_name, host_address, agent_id=None)
        ContextEventLog.events_since(since=0, *, limit=100)""",
    "paglets.core.agent": """
        Paglet(state=None, *, agent_id=None)
        Paglet.state_class()
        Paglet.locked()
        Paglet.locked_state()
        Paglet.wait_state(predicate, timeout=None)
        Paglet.notify_state_changed()
        Paglet.notify_all_state_changed()
        Paglet.dispatch(target)
        Paglet.dispatch_to(name_or_url)
        Paglet.clone(target=None)
        Paglet.clone_to(name_or_url)
        Paglet.deactivate(*, reason='deactivate', policy=None, metadata=None)
        Paglet.send(target_agent_id, message, *, host_url=None)
        Paglet.multicast(kind_or_message, args=None, *, include_self=True)
        Paglet.wait_message(timeout=None)
        Paglet.notify_message()
        Paglet.notify_all_messages()
        Paglet.advertise_service(name, *, capabilities=None, metadata=None, scope=LOCAL, ttl=None)
        Paglet.unadvertise_service(name)
        Paglet.lookup_service(name, *, capability=None, scope=LOCAL)
        Paglet.lookup_services(name=None, *, capability=None, scope=LOCAL)
        Paglet.advertise_contract(contract, *, scope=LOCAL, ttl=None, metadata=None)
        Paglet.lookup_contract(contract, *, operation=None, scope=LOCAL)
        Paglet.lookup_contracts(contract, *, operation=None, scope=LOCAL)
        Paglet.require_contract(contract, *, operation=None, scope=LOCAL)
        Paglet.lease_contract(contract, *, operation=None, scope=LOCAL, ttl=60.0)
        Paglet.work_dir(*, create=True)
        Paglet.persistent_storage(*, quota_bytes=None)
        Paglet.register_file(path, *, name=None, mode='copy')
        Paglet.registered_files()
        Paglet.unregister_file(name_or_ref)
        Paglet.file_path(name_or_ref)
        Paglet.upload_artifact(path, *, host_url=None, owner_agent_id=None, name=None, compression='', expires_at=0.0)
        Paglet.download_artifact(artifact, target, *, move=False)
        Paglet.delete_artifact(artifact)
        Paglet.not_handled()
        Paglet.on_creation(event)
        Paglet.on_dispatching(event)
        Paglet.on_arrival(event)
        Paglet.on_reverting(event)
        Paglet.on_cloning(event)
        Paglet.on_clone(event)
        Paglet.on_cloned(event)
        Paglet.on_deactivating(event)
        Paglet.on_activation(event)
        Paglet.on_disposing(event)
        Paglet.on_dispatch_failed(event)
        Paglet.deactivation_policy(request)
        Paglet.run()
        Paglet.handle_message(message)
        Paglet.checkpoint()
        PagletContext(host, agent_id=None)
        PagletContext.get_proxy(agent_id, host_url=None)
        PagletContext.get_proxies(state=1)
        PagletContext.get_property(key, default=None)
        PagletContext.set_property(key, value)
        PagletContext.create_paglet(agent_cls, state=None, *, init=None, host_url=None)
        PagletContext.dispatch(agent_id, target)
        PagletContext.clone(agent_id, target=None)
        PagletContext.deactivate(agent_id, request=None)
        PagletContext.dispatch_to(agent_id, name_or_url)
        PagletContext.clone_to(agent_id, name_or_url)
        PagletContext.available_hosts(*, online_only=True, include_self=True)
        PagletContext.host_status(name_or_url)
        PagletContext.is_host_online(name_or_url)
        PagletContext.wait_for_host(name_or_url, *, timeout=10.0, interval=0.25)
        PagletContext.send(target_agent_id, message, *, host_url=None)
        PagletContext.multicast(kind, args=None, *, exclude=None)
        PagletContext.advertise_service(name, *, capabilities=None, metadata=None, scope=LOCAL, ttl=None, agent_id=None)
        PagletContext.unadvertise_service(name, *, agent_id=None)
        PagletContext.lookup_service(name, *, capability=None, scope=LOCAL)
        PagletContext.lookup_services(name=None, *, capability=None, scope=LOCAL)
        PagletContext.advertise_contract(contract, *, scope=LOCAL, ttl=None, metadata=None, agent_id=None)
        PagletContext.lookup_contract(contract, *, operation=None, scope=LOCAL)
        PagletContext.lookup_contracts(contract, *, operation=None, scope=LOCAL)
        PagletContext.require_contract(contract, *, operation=None, scope=LOCAL)
        PagletContext.lease_contract(contract, *, operation=None, scope=LOCAL, ttl=60.0)
        PagletContext.resources(agent_id=None)
        PagletContext.work_dir(*, create=True, agent_id=None)
        PagletContext.persistent_storage(*, quota_bytes=None, agent_id=None)
        PagletContext.register_file(path, *, name=None, mode='copy', agent_id=None)
        PagletContext.registered_files()
        PagletContext.unregister_file(name_or_ref)
        PagletContext.file_path(name_or_ref)
        PagletContext.upload_artifact(path, *, host_url=None, owner_agent_id=None, name=None, compression='', expires_at=0.0)
        PagletContext.download_artifact(artifact, target, *, move=False)
        PagletContext.delete_artifact(artifact)""",
    "paglets.core.itinerary": """
        ItineraryPlan.add_next_destination(dest, *, index=None, after=None, allow_duplicate=True)
        ItineraryPlan.add_next_destination_if_not_duplicated(dest)
        ItineraryPlan.remove_destination(dest)
        ItineraryPlan.remove_destination_at(i)
        ItineraryPlan.set_immutable()
        ItineraryPlan.skip_next()
        ItineraryPlan.get_destination_count()
        ItineraryPlan.get_remaining_destination_count()
        ItineraryPlan.get_destinations()
        ItineraryPlan.get_first_destination()
        ItineraryPlan.get_last_destination()
        ItineraryPlan.get_current_location()
        ItineraryPlan.get_loop_count()
        ItineraryPlan.next_destination()
        ItineraryPlan.dispatch_next(agent)
        TaskItineraryPlan.add_default_task(t)
        TaskItineraryPlan.remove_default_task(t)
        TaskItineraryPlan.add_task_for_destination(dest, t)
        TaskItineraryPlan.add_next_destination_with_task(dest, t)
        TaskItineraryPlan.remove_task_for_destination(dest, t)
        TaskItineraryPlan.remove_all_tasks_for_destination(dest)
        TaskItineraryPlan.get_tasks_for_destination(dest)
        TaskItineraryPlan.tasks_for_phase(dest, phase)
        ItineraryAgentMixin.get_itinerary()
        ItineraryAgentMixin.go_to_next_destination()
        ItineraryAgentMixin.execute_itinerary_tasks(phase, event=None)
        ItineraryAgentMixin.execute_itinerary_task(task, phase, event=None)""",
    "paglets.serialization.codec": """
        dataclass_to_wire(instance)
        dataclass_from_wire(cls, payload)""",
    "paglets.persistence.persistency": """
        DeactivationPolicy(activate_on_message=True, queue_messages_when_inactive=True, activate_on_startup=False, activate_at=None)
        DeactivationPolicy.after(seconds)
        DeactivationRequest(reason='deactivate', source='external', policy=None, metadata={})
        QueuedMessage(message, oneway=False, queued_at)
        InactiveRecord(envelope, policy, request, deactivated_at, queued_messages=[])""",
    "paglets.persistence.storage": """
        StorageStatus(root, used_bytes, quota_bytes, available_bytes)
        ManagedStorage(root, *, quota_bytes=10485760)""",
    "paglets.services.contracts": """
        ServiceOperation(name, request_type, reply_type)
        ServiceOperation.to_message(req=None)
        ServiceContract(name, operations, version='1')
        ServiceContract.operation_for(name)
        ServiceContract.require_operation(op)
        ServiceContract.metadata()
        ServiceContract.advertise_metadata(extra=None)
        ServiceContract.matches_record(record)
        ServiceContract.route(message, handlers, *, default)
        ServiceHandle(contract, record, context_or_client=None)
        ServiceHandle.call(op, req=None, *, activate_if_inactive=True, no_delay=False, timeout=None)
        ServiceHandle.send_oneway(op, req=None)
        ServiceRecord(name, proxy, capabilities=(), metadata={}, scope=LOCAL, host_name='', host_url='', advertised_at, expires_at=None)
        ServiceRecord.matches(name, capability=None)
        ServiceRegistry()
        ServiceRegistry.advertise(*, host_name, host_url, name, proxy)
        ServiceRegistry.unadvertise(name, agent_id=None)
        ServiceRegistry.record(name, agent_id)
        ServiceRegistry.remove_agent(agent_id, *, keep=None)""",
    "paglets.services.resident": """
        ResidentServiceSpec(contract, scope=LOCAL, lifecycle=LAZY, agent_id=None, singleton=True, idle_timeout=30.0, state={})
        ServiceLease.release()""",
    "paglets.patterns.tasks": """
        TaskState(status=NEW, done=False, request={}, result={}, error='', started_at=0.0, completed_at=0.0)
        TaskPaglet.run_task(request)
        TaskPaglet.task_status_reply()
        TaskPaglet.complete_task(result, *, status=COMPLETED)
        TaskPaglet.fail_task(error)
        TaskPaglet.set_task_status(status, *, done=None)
        TaskPaglet.handle_task_message(message)
        TaskStartRequest(request={})
        TaskWaitRequest(wait_timeout=0.5)
        TaskClient.for_paglet(proxy, cls)
        TaskClient.start(request, *, timeout=None)
        TaskClient.status()
        TaskClient.wait(*, wait_timeout=0.5)
        TaskClient.start_and_wait(request, *, wait_timeout=0.5, timeout=None)""",
    "paglets.patterns.operations": """
        OperationPaglet.operation_handlers()
        OperationPaglet.handle_operation_message(message)
        OperationClient(proxy)
        OperationClient.call(op, request=None, *, activate_if_inactive=True, no_delay=False, timeout=None)
        OperationClient.send_oneway(op, request=None)""",
    "paglets.patterns.coordination": """
        MeshFanoutMixin.fanout_reset(*, timeout)
        MeshFanoutMixin.fanout_available_hosts(*, include_self=True)
        MeshFanoutMixin.fanout_select_hosts(targets, *, include_self=True)
        MeshFanoutMixin.fanout_prepare_clone(host)
        MeshFanoutMixin.fanout_finish_clone_prepare()
        MeshFanoutMixin.fanout_record_child_proxy(name, proxy)
        MeshFanoutMixin.fanout_record_error(name, error)
        MeshFanoutMixin.fanout_record_done(name)
        MeshFanoutMixin.fanout_expire_pending(error)
        MeshFanoutMixin.fanout_wait_for(ready, *, wait_timeout)
        MeshFanoutMixin.fanout_cleanup_children()
        CursorDrainMixin.cursor_append_events(events)
        CursorDrainMixin.cursor_drain_events(*, after_cursor, limit)""",
    "paglets.patterns.notifications": """
        NotificationMixin.notify_user_info(severity, title, message, *, job_id='', timeout=2.0, scope=MESH, metadata=None)""",
    "paglets.patterns.file_mobility": """
        FileTransferRequest(source_path, destination_path='', target_host='', mode=COPY, dry_run=False, overwrite=False, transfer_id='', source_label='', destination_label='')
        FileTransferEndpoint(host_name='', host_url='', path='', created_at=0.0, modified_at=0.0)
        format_bytes(n)""",
    "paglets.artifacts": """
        ArtifactRef(host_url, artifact_id, name='', size_bytes=0, sha256='', compression='', created_at=0.0, expires_at=0.0, owner_agent_id='')
        ArtifactStore.create_from_stream(source, *, size_bytes=-1, owner_agent_id='', name='', compression='', expires_at=0.0, expected_sha256=None)
        ArtifactStore.list(*, owner_agent_id=None)
        ArtifactStore.export_to_path(id, target, *, expected_sha256=None)
        ArtifactStore.cleanup_temporary(*, now=None)""",
    "paglets.remote.references": """
        PagletProxyRef(host_url, agent_id)
        PagletProxyRef.resolve(context_or_client=None)""",
    "paglets.remote.proxy": """
        PagletProxy(host_url, agent_id, client)
        PagletProxy.from_wire(payload, client=None)
        PagletProxy.is_state(state)
        PagletProxy.is_remote(local_url=None)
        PagletProxy.send(message, *, activate_if_inactive=True, no_delay=False, timeout=None)
        PagletProxy.send_oneway(message)
        PagletProxy.send_future(message)
        PagletProxy.send_artifact(message, path, *, arg_name='artifact', move=False, name=None, compression='', timeout=None)
        PagletProxy.dispatch(target)
        PagletProxy.clone(target=None)
        PagletProxy.deactivate(*, reason='deactivate', policy=None, metadata=None)
        PagletProxy.activate()
        PagletProxy.dispose()""",
    "paglets.remote.transfer": """
        TransferTicket(destination, timeout=10.0, retries=0, retry_interval=0.25, required_capabilities=(), expected_code_version=None, arrival_mode=ACTIVATE, queue=False)""",
    "paglets.remote.client": """
        HostClient(timeout=10.0)
        HostClient.get_json(url, *, timeout=None)
        HostClient.download_artifact(artifact_or_url, target, artifact_id=None, *, move=False)""",
    "paglets.remote.mesh": """
        HostRef(name, url, code_version, online, last_seen, active_count, inactive_count, tags=(), properties={}, error=None)
        MeshRegistry.hosts(*, online_only=False, include_self=True)
        MeshRegistry.lookup(name_or_url)
        MeshRegistry.wait_for_host(name, *, timeout, interval)
        MeshRegistry.mark_offline(url, error)
        MeshRegistry.incompatible()""",
    "paglets.remote.admin": """
        ServerRef(name, url, enabled=True, local_start=False)
        AgentDiscoveryConfig(paths, modules)
        ServerStatus(name, url, reachable, latency_ms, active_count, inactive_count, error=None, code_version=None)
        AgentRecord(server_name, host_url, agent_id, class_name, state_class_name, active)
        ServiceSummary(server_name, name, host_url, agent_id, capabilities, scope)
        PagletsAdminClient(servers, *, client=None)
        PagletsAdminClient.send(agent, message, *, oneway=False, activate_if_inactive=True, no_delay=False)
        PagletsAdminClient.list_events(server, *, since=0, limit=100)
        PagletsAdminClient.create_agent(server, agent_class_name, state_class_name, state=None, *, init=None)
        PagletsAdminClient.dispatch(agent, target_url)
        PagletsAdminClient.clone(agent, target_url=None)
        PagletsAdminClient.retract(agent, target_url)
        PagletsAdminClient.activate(agent)
        PagletsAdminClient.deactivate(agent)
        PagletsAdminClient.dispose(agent)
        PagletsAdminClient.get_agent_info(agent)
        PagletsAdminClient.get_agent_state(agent)""",
    "paglets.runtime.host": """
        Host(name, host='127.0.0.1', port=0, *, client=None, public_url=None, connect_to=None, mesh=True, peers=None, mesh_multicast=True, mesh_lan_discovery=True, mesh_version=None, mesh_gossip_interval=1.0, mesh_offline_after=10.0, persistence_dir=None, persistent_storage_quota_bytes=10485760, artifact_max_bytes=1073741824, artifact_storage_quota_bytes=10737418240, launch_config=None, tags=None, properties=None, mesh_dir=None, launcher=None)
        Host.start_background()
        Host.serve_forever()
        Host.shutdown()
        Host.stop(*, deactivate_active=False)
        Host.create(agent_cls, state=None, *, init=None, agent_id=None)
        Host.create_remote(target, agent_cls, state=None, *, init=None, agent_id=None)
        Host.dispatch(agent_id, target)
        Host.clone(agent_id, *, target=None)
        Host.retract(remote_host_url, agent_id)
        Host.deactivate(agent_id, request=None)
        Host.activate(agent_id)
        Host.dispose(agent_id)
        Host.get_proxy(agent_id, *, include_inactive=False)
        Host.get_proxies(state=1)
        Host.get_state(agent_id, state_cls)
        Host.get_property(key, default=None)
        Host.set_property(key, value)
        Host.list_agents(*, active=True, inactive=False, include_state=False)
        Host.health()
        Host.list_hosts(*, online_only=False, include_self=True)
        Host.multicast_message(kind, args=None, *, exclude=None)
        Host.wait_message(agent_id)
        Host.notify_message(agent_id)
        Host.notify_all_messages(agent_id)
        Host.mailbox_status(agent_id)
        Host.advertise_service(agent_id, name)
        Host.unadvertise_service(agent_id, name)
        Host.lookup_service(name)
        Host.lookup_services(name=None)
        Host.add_listener(listener)
        Host.remove_listener(listener)
        Host.list_events(*, since=0, limit=100)
        Host.resources_for(agent_id)
        Host.work_dir_for(agent_id)
        Host.persistent_storage_for(agent_id, *, quota_bytes=None)""",
    "paglets.runtime.envelope": """
        PagletEnvelope(kind, agent_id, agent_class_name, state_class_name, state, source_host_name, source_host_address, target_host_name, target_host_address, clone_of=None, metadata={})""",
    "paglets.config.startup": """
        LaunchConfig(path, demo_config_id, demo_config_version, sync_demo_config, startup_agents, resident_services)
        LaunchConfigSyncResult(action, path, message, backup_path=None)
        bundled_launch_config_text()
        load_launch_config(path)
        sync_launch_config(path, *, enabled=True, yes=False, interactive=None, input_func, output=None)""",
}
