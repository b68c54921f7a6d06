"""A bus-departure model: how many minutes after its scheduled time will a bus leave this stop?"""
