-- Delete messages of a queue, at most BOUND of them. ARGV: clock offset, queue, state. Returns how many were
-- deleted, and how many entries were read: entries of messages that no longer exist are removed, too.

local now = whole(clock(tonumber(ARGV[1])))
local queue, state = ARGV[2], ARGV[3]
local room, deleted = BOUND, 0

local function is_to_go(id, h)
    if state == 'dead' then return h.damaged or h.state == DEAD end
    return h.damaged or h.state == WAITING and call('HEXISTS', P .. 'leases', id) == 0
end

local function delete(id)
    local h = head(id)
    if h and is_to_go(id, h) then
        local hold = hold_to_free(id, h, true)
        if state == 'dead' then undo_requeue(id) end
        call('DEL', P .. 'm:' .. id)
        drop_rest(id, h, hold)
        if h.damaged then
            leave_only(id, queue, nil)
        end
        deleted = deleted + 1
    end
end

-- If a command fails, no entry of a message that is already deleted remains.
local function purge(key, ids)
    local gone = {}
    local done, problem = pcall(function()
        for i, id in ipairs(ids) do
            gone[i] = id
            delete(id)
        end
    end)
    if not done and head(gone[#gone]) then gone[#gone] = nil end
    if state == 'dead' then spread('ZREM', P .. 'dead', gone) end
    spread('ZREM', key, gone)
    if not done then error(problem, 0) end
    room = room - #ids
end

local function purge_scheduled(from, to)
    for _, key in ipairs(scheduled_sets(queue)) do
        purge(key, call('ZRANGEBYSCORE', key, from, to, 'LIMIT', 0, room))
    end
end

if state == 'ready' then
    purge(P .. 'r:' .. queue, call('ZRANGE', P .. 'r:' .. queue, 0, room - 1))
    if room > 0 then purge_scheduled('-inf', now) end
elseif state == 'scheduled' then
    purge_scheduled('(' .. now, '+inf')
elseif state == 'dead' then
    purge(P .. 'd:' .. queue, call('ZRANGE', P .. 'd:' .. queue, 0, room - 1))
end
forget_if_empty(queue)
return {deleted, BOUND - room}
