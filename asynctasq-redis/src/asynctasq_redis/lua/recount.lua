-- Corrects the numbers of leases by queue after a script that failed.

local MOST_RECOUNTED = 10000 -- leases

-- Count leases again if the sum of the counts differs from their number. Steps count a lease before it exists,
-- and after it has ended.
local function recount()
    local leases, sum = call('HLEN', P .. 'leases'), 0
    local counted = call('HGETALL', P .. 'queues')
    for i = 2, #counted, 2 do
        local count = tonumber(counted[i])
        if not count or count < 0 then sum = nil break end
        sum = sum + count
    end
    if sum == leases or leases > MOST_RECOUNTED then return end
    local right = {}
    for _, record in ipairs(call('HVALS', P .. 'leases')) do
        local lease = read_lease(record)
        if lease then right[lease.queue] = (right[lease.queue] or 0) + 1 end
    end
    for i = 1, #counted, 2 do
        local queue = counted[i]
        if tonumber(counted[i + 1]) ~= (right[queue] or 0) then
            call('HSET', P .. 'queues', queue, right[queue] or 0)
        end
        right[queue] = nil
    end
    for queue, count in pairs(right) do call('HSET', P .. 'queues', queue, count) end
end
